"""Alarms and conditions of the machines (OPC 10000-9).

    signals, CNC alarms --> limits, table --> condition --> fields --> nodes          what a client reads
                                                 ^             '-----> events         what subscribers are told
                 Acknowledge, TimedShelve ... ---'--> memory --> disk                 what survives a restart

branch      one state of a condition, and what is said of it          pure
condition   the states of one condition, and what changes them        pure
limits      when a value is beyond a limit, without chatter           pure
table       the limit alarms of a machine
limits_file limits that an installation sets itself
fields      a condition's state as event fields
nodes       instances of the official condition types
machine     all conditions of one machine
memory      states as JSON data                                       pure
keeper      writes and reads them
registry    all conditions, by ConditionId
methods     Acknowledge, Enable, TimedShelve ... for clients
refresh     ConditionRefresh
"""
