"""The OPC UA link of analytics and gateway: bound by browse path and type, healed by its own supervisor, honest about gaps.

    Link(url, ...)  --run()-->  connect, bind, subscribe, watch, and all over again when the server is away
        |
        '-- remarks        what is the matter with a server that is there
        '-- batches()      readings of one machine that share one source time, in order
        '-- call()         a command of ``nodesets.methods``
        '-- write()        result signals (needs the Analytics role)
        '-- alarms()       events of the machines
        '-- conditions()   alarms that want somebody; handle() acknowledges, confirms, comments

When the server is lost every signal is handed out once more, Uncertain, with the value and source time it had.
"""

from cnctwin.link.link import Handling, Link, LinkAlarm, LinkCondition, LinkSettings, LinkState, Machine, MethodFailed, Remark

__all__ = ["Handling", "Link", "LinkAlarm", "LinkCondition", "LinkSettings", "LinkState", "Machine", "MethodFailed", "Remark"]
