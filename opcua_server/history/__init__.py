"""Historical access (OPC 10000-11 and 10000-13): what the machines showed, kept and read again.

    columns, results --recorder--> tails (memory) --every second--> journal --every minute--> blocks      sqlite or PostgreSQL
                                          '------------ archive: one series of a tag ---------'
    HistoryRead --service--> raw | at-time | aggregates (pure, on series) --> encoded runs of DataValues

`series`, `frames`, `blocks`, `raw`, `bounds`, `intervals`, `regions`, `window`, `extremes` and `aggregates` are pure: no clock, no
loop, no database. Times are 100 ns since 1601, as on the wire.
"""
