"""Who may load a release that nobody has loaded yet: it may kill its process, and must not kill them all.

A shard that one replica has loaded is *proven*, and the others may load it at once. One that is not is loaded first by
those whose loss would leave every shard they serve with another replica. Where even a whole service has none of these,
because there are no copies, it is loaded by one replica alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from kapelle.core.rollout_fleet import Member
from kapelle.core.rollout_messages import Shards


def provers(
    release: str, wanting: Sequence[tuple[Member, Shards]], living: Sequence[Member], *, is_whole: bool
) -> set[str]:
    """The names of those that may load the shards they want of ``release``; all are replicas of one service.

    ``is_whole`` is whether every replica of it is there, and has of the current release what it should.
    """
    proven = frozenset[int]().union(*(member.holds(release) for member in living))
    chosen = {member.process.name for member, shards in wanting if shards <= proven}
    # Those that were told to load it, and may be at it, are at risk already.
    at_work = [(member, shards) for member, shards in wanting if _may_be_loading(member, release)]
    at_risk = {member.process.name for member, shards in at_work if not shards <= proven}
    tried = frozenset[int]().union(*(shards for _, shards in at_work))
    for member, shards in wanting:
        if not shards - proven <= tried and _can_be_spared(release, member, at_risk, living):
            at_risk.add(member.process.name)
            tried |= shards
    if wanting and is_whole and not chosen and not at_risk:
        return {min(member.process.name for member, _ in wanting)}
    return chosen | at_risk


def _may_be_loading(member: Member, release: str) -> bool:
    return member.was_building(release) or (member.report is not None and release in member.report.building)


def _can_be_spared(release: str, member: Member, at_risk: set[str], living: Sequence[Member]) -> bool:
    """Whether others, which risk nothing, hold all that it holds of other releases."""
    others = [one for one in living if one is not member and one.process.name not in at_risk]
    held = member.report.holds if member.report is not None else {}
    return all(
        shards <= frozenset[int]().union(*(one.holds(other) for one in others))
        for other, shards in held.items()
        if other != release
    )
