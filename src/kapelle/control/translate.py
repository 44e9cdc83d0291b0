"""Between what the rollout machine says and hears, and what travels to processes and comes from them."""

from __future__ import annotations

from kapelle.core import rollout_messages as core
from kapelle.wire import messages


def message(order: core.Order) -> messages.Order:
    """An order as a process hears it."""
    if isinstance(order, core.Rest):
        return messages.Rest(*order.stamp, order.release)
    if isinstance(order, core.Route):
        side = order.side
        told = None if side is None else messages.Side(side.release, side.share, side.mirrored)
        return messages.Route(*order.stamp, order.release, told)
    kind = messages.Prepare if isinstance(order, core.Prepare) else messages.Retire
    return kind(*order.stamp, order.release, sorted(order.shards))


def report(process: core.Process, said: messages.Report) -> core.Report:
    """What a process says, as the machine hears it."""
    return core.Report(
        process, said.number, said.epoch, said.heard,
        {release: frozenset(shards) for release, shards in said.holds.items()},
        frozenset(said.building), said.failed, said.routed if said.routed[1] else None, said.busy,
        None if said.side is None else core.Side(said.side.release, said.side.share, said.side.mirrored),
    )  # fmt: skip
