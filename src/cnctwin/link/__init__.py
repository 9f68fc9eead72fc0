"""The OPC UA link of analytics and gateway: bound by browse path and type, healed by its own supervisor, honest about gaps.

    Link(url, ...)  --run()-->  connect, bind, subscribe, watch, and all over again when the server is away
        |
        '-- batches()      readings of one machine that share one source time, in order
        '-- call()         a command of ``nodesets.methods``
        '-- write()        result signals (needs the Analytics role)
        '-- alarms()       events of the machines

When the server is lost every signal is handed out once more, Uncertain, with the value and source time it had.
"""

from cnctwin.link.link import Link, LinkAlarm, LinkSettings, LinkState, Machine, MethodFailed

__all__ = ["Link", "LinkAlarm", "LinkSettings", "LinkState", "Machine", "MethodFailed"]
