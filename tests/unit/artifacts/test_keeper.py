"""A process obeys the newest orders, builds and drops what they say, and tells whatever changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from kapelle.artifacts.keeper import Keeper
from kapelle.core.rollout_messages import Shards, Side
from kapelle.wire import messages


class Outcry(BaseException):
    """What no ``except Exception`` catches, as the failures of pytest."""


class Player:
    """Holds what it is told to; a build waits until it is let go."""

    def __init__(self) -> None:
        self.holds: dict[str, list[int]] = {"r1": [0, 1]}
        self.in_turn = False
        self.routed = ""
        self.side: Side | None = None
        self.busy: dict[str, int] = {}
        self.go = asyncio.Event()
        self.failure: BaseException | None = None
        self.dropped: list[tuple[str, list[int]]] = []

    async def prepare(self, release: str, shards: Shards) -> None:
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        self.holds[release] = sorted({*self.holds.get(release, []), *shards})

    def retire(self, release: str, shards: Shards) -> Awaitable[None]:
        self.holds[release] = [one for one in self.holds[release] if one not in shards]
        if not self.holds[release]:
            del self.holds[release]
        return self._drop(release, shards)

    async def _drop(self, release: str, shards: Shards) -> None:
        self.dropped.append((release, sorted(shards)))

    def route(self, release: str, side: Side | None) -> None:
        self.routed, self.side = release, side

    def rest(self) -> None:
        self.routed, self.side = "", None


class Stage:
    def __init__(self) -> None:
        self.player = Player()
        self.keeper = Keeper(self.player)
        self.reports: list[messages.Report] = []
        self.keeper.tell = self._hear
        self._changed = asyncio.Event()

    @property
    def last(self) -> messages.Report:
        return self.reports[-1]

    def _hear(self, report: messages.Report) -> None:
        self.reports.append(report)
        self._changed.set()

    async def more(self) -> None:
        """Return at the next report."""
        self._changed.clear()
        await self._changed.wait()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_what_is_missing_is_built_and_told(stage: Stage) -> None:
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0, 3]))
    assert (stage.last.building, stage.last.holds, stage.last.heard) == (["r2"], {"r1": [0, 1]}, {"r2": 1})
    stage.player.go.set()
    await stage.more()
    assert (stage.last.building, stage.last.holds["r2"], stage.last.epoch) == ([], [0, 3], 2)
    stage.keeper.obey(messages.Prepare(2, 2, "r2", [3]))
    assert stage.last.building == [], "it has that"
    numbers = [report.number for report in stage.reports]
    assert numbers == sorted(set(numbers))


async def test_an_older_order_is_not_obeyed(stage: Stage) -> None:
    stage.keeper.obey(messages.Prepare(5, 1, "r1", []))
    count = len(stage.reports)
    stage.keeper.obey(messages.Retire(4, 9, "r1", [0]))
    assert stage.player.holds == {"r1": [0, 1]}
    assert len(stage.reports) == count


async def test_the_same_order_twice_builds_once(stage: Stage) -> None:
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    tasks = asyncio.all_tasks()
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    assert asyncio.all_tasks() == tasks
    await stage.keeper.close()


async def test_a_failure_is_told_until_it_is_tried_again_or_the_epoch_changes(stage: Stage) -> None:
    stage.player.failure = ValueError("3 dimensions,\nexpected 4")
    stage.player.go.set()
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    await stage.more()
    assert stage.last.failed == {"r2": "ValueError: 3 dimensions, expected 4"}
    stage.keeper.obey(messages.Prepare(3, 1, "r1", []))
    assert stage.last.failed == {}


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (SystemExit("no such model"), "SystemExit: no such model"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (GeneratorExit(), "GeneratorExit"),
        (Outcry("no model"), "Outcry: no model"),
    ],
)
async def test_a_release_that_wants_to_end_the_process_has_failed_like_any_other(
    stage: Stage, failure: BaseException, told: str
) -> None:
    stage.player.failure = failure
    stage.player.go.set()
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    await stage.more()
    assert (stage.last.building, stage.last.failed) == ([], {"r2": told})
    assert stage.last.holds == {"r1": [0, 1]}


async def test_what_is_being_built_at_the_end_is_given_up_and_no_failure(stage: Stage) -> None:
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    await asyncio.sleep(0)
    await stage.keeper.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.last.failed == {}


async def test_a_build_that_is_not_wanted_any_more_is_given_up(stage: Stage) -> None:
    stage.keeper.obey(messages.Prepare(2, 1, "r2", [0]))
    stage.keeper.obey(messages.Retire(2, 2, "r2", [0]))
    assert stage.last.building == []
    stage.player.go.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert "r2" not in stage.player.holds


async def test_what_is_dropped_is_told_at_once(stage: Stage) -> None:
    stage.keeper.obey(messages.Retire(2, 1, "r1", [1, 7]))
    assert stage.last.holds == {"r1": [0]}
    await stage.keeper.close()
    assert stage.player.dropped == [("r1", [1])]


async def test_nothing_is_dropped_that_requests_see(stage: Stage) -> None:
    player = stage.player
    player.holds = {"r1": [0], "r2": [0], "r3": [0]}
    player.routed, player.side, player.busy = "r1", Side("r2", 0.1), {"r3": 1}
    for number, release in enumerate(player.holds):
        stage.keeper.obey(messages.Retire(2, number, release, [0]))
    assert player.holds.keys() == {"r1", "r2", "r3"}


async def test_requests_go_only_where_everything_is(stage: Stage) -> None:
    stage.keeper.obey(messages.Route(2, 1, "r2"))
    assert stage.last.routed == (0, "")
    stage.keeper.obey(messages.Route(2, 2, "r1", messages.Side("r2", 0.2, False)))
    assert stage.last.routed == (0, "")
    stage.player.holds["r2"] = [0]
    stage.keeper.obey(messages.Route(2, 3, "r1", messages.Side("r2", 0.2, False)))
    assert (stage.last.routed, stage.last.side) == ((2, "r1"), messages.Side("r2", 0.2, False))


async def test_what_it_begins_with_is_not_disturbed(stage: Stage) -> None:
    begun = asyncio.Event()
    stage.player.holds = {}

    async def first() -> None:
        await begun.wait()
        stage.player.holds = {"r1": [0]}

    beginning = asyncio.create_task(stage.keeper.begin("r1", first()))
    await asyncio.sleep(0)
    stage.keeper.obey(messages.Prepare(2, 1, "r1", [0]))
    stage.keeper.obey(messages.Retire(2, 2, "r1", [0]))
    assert stage.last.building == ["r1"]
    begun.set()
    await beginning
    assert (stage.last.building, stage.last.holds) == ([], {"r1": [0]})


async def test_without_room_for_two_the_old_release_goes_before_the_new_one_comes(stage: Stage) -> None:
    stage.player.in_turn = True
    stage.player.go.set()
    stage.keeper.obey(messages.Prepare(1, 1, "r2", [0]))
    assert stage.last.building == [], "there is no room"
    stage.keeper.obey(messages.Retire(1, 2, "r1", [0, 1]))
    stage.keeper.obey(messages.Prepare(1, 3, "r2", [0]))
    assert stage.player.dropped == []
    while stage.last.holds != {"r2": [0]}:
        await stage.more()
    assert stage.player.dropped == [("r1", [0, 1])]
