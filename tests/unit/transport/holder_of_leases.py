"""A process that uses blocks of another's arena: it attaches, says so, and keeps what it is given until it is killed."""

from __future__ import annotations

import sys
from functools import partial

from kapelle.transport.arena import Arena, Place

say = partial(print, flush=True)
arena = Arena.attach(sys.argv[1])
leases = []
say("attached")
for line in sys.stdin:
    block, turn, offset, length = map(int, line.split())
    leases.append(arena.lease(Place(arena.name, block, turn, offset, length)))
    say(bytes(leases[-1].bytes[:5]).decode())
