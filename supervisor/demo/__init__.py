"""`ringvisord demo`: a fleet to look at, in a temporary directory that goes with it.

A shell, a program that ticks, one that crashes now and then, one that floods. On a terminal they are shown live, and
keys kill what serves them; elsewhere the same deeds are done in a row and printed as lines. Either way the books are
compared at the end: each log is read again and checked against its index.

    fleet.py     the fleet and its ringvisord
    look.py      what there is to know of it at one moment
    deeds.py     who is to be killed; news.py: what became of it; table.py: how it is drawn. All pure.
    live.py      on a terminal; in_lines.py: elsewhere
    balance.py   the logs, read again
"""
