"""Services whose replicas have no room for two releases at a time: half of them change first, the others later.

The copies of a shard are in different halves, so that each half can answer everything by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from kapelle.core.assignment import Replica

OLDER, NEWER = "the half that changes later", "the half that changes first"


def in_halves(replicas: Sequence[Replica]) -> list[Replica]:
    """The replicas with their half for a node; those of one node are in one half where there are several nodes.

    The half that changes later is never the smaller one.
    """
    ordered = sorted(replicas, key=lambda one: (one.node, one.name))
    later = (len(ordered) + 1) // 2
    return [Replica(one.name, OLDER if index < later else NEWER) for index, one in enumerate(ordered)]
