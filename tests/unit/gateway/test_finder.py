"""Replicas that DNS has become members; those that it has no more stay as long as they can be reached."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from kapelle.gateway import finder
from kapelle.gateway.finder import Finder
from kapelle.wire.messages import Member, Members


class Pool:
    """What a finder looks at of a pool: who can be reached."""

    def __init__(self) -> None:
        self.reachable: set[str] = set()
        self.troubles: dict[str, str] = {}

    def reaches(self, name: str) -> bool:
        return name in self.reachable

    def trouble(self, name: str) -> str:
        return self.troubles.get(name, "")


class Search:
    """A finder, DNS, and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pools = {"Encoder": Pool(), "Part": Pool()}
        self.told: list[Members] = []
        self.now = 1000.0
        monkeypatch.setattr(finder, "monotonic", lambda: self.now)
        self.finder = Finder(self, 7100, self.told.append)  # type: ignore[arg-type]  # all of a fleet that it looks at

    def dns(self, encoders: Iterable[str] = (), parts: Iterable[str] = ()) -> None:
        self.finder.found({"Encoder": frozenset(encoders), "Part": frozenset(parts)})

    @property
    def members(self) -> list[str]:
        return [one.name for one in self.told[-1].members]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    return Search(monkeypatch)


def test_every_address_is_a_member(search: Search) -> None:
    search.dns(["10.0.0.2", "10.0.0.1"], ["fd00::5"])
    assert search.told == [
        Members(1, [
            Member("Encoder@10.0.0.1", "replica", "Encoder", [], "tcp:10.0.0.1:7100", "", ready=True),
            Member("Encoder@10.0.0.2", "replica", "Encoder", [], "tcp:10.0.0.2:7100", "", ready=True),
            Member("Part@fd00::5", "replica", "Part", [], "tcp:[fd00::5]:7100", "", ready=True),
        ])
    ]  # fmt: skip


def test_that_nobody_is_there_is_told_too(search: Search) -> None:
    search.dns()
    assert search.told == [Members(1, [])]
    search.dns()
    assert len(search.told) == 1, "what does not change is not told again"


def test_one_that_dns_has_no_more_is_gone(search: Search) -> None:
    search.dns(["10.0.0.1", "10.0.0.2"])
    search.dns(["10.0.0.2"])
    assert search.members == ["Encoder@10.0.0.2"]
    assert [one.version for one in search.told] == [1, 2]


def test_one_that_can_be_reached_stays_until_it_cannot(search: Search) -> None:
    search.dns(["10.0.0.1", "10.0.0.2"])
    search.pools["Encoder"].reachable = {"Encoder@10.0.0.1"}
    search.dns()
    assert search.members == ["Encoder@10.0.0.1"]
    search.pools["Encoder"].reachable.clear()
    search.dns()
    assert search.members == []


def test_people_are_told_of_a_dead_address_once(search: Search) -> None:
    search.pools["Encoder"].reachable = {"Encoder@10.0.0.1"}
    search.pools["Encoder"].troubles["Encoder@10.0.0.2"] = "Connect call failed"
    with capture_logs() as logs:
        search.dns(["10.0.0.1", "10.0.0.2"])
        search.now += 29.9
        search.dns(["10.0.0.1", "10.0.0.2"])
        assert not logs
        for _ in range(3):
            search.now += 30.0
            search.dns(["10.0.0.1", "10.0.0.2"])
    (said,) = logs
    assert (said["replica"], said["reason"]) == ("Encoder@10.0.0.2", "Connect call failed")


def test_one_that_never_becomes_ready_is_told_as_well(search: Search) -> None:
    search.dns([], ["10.0.0.3"])
    search.now += 30.0
    with capture_logs() as logs:
        search.dns([], ["10.0.0.3"])
    assert logs[0]["reason"] == "it is not ready"


def test_an_address_that_came_back_is_told_of_when_it_dies_again(search: Search) -> None:
    reachable = search.pools["Encoder"].reachable
    with capture_logs() as logs:
        for _ in range(2):
            search.dns(["10.0.0.1"])
            search.now += 30.0
            search.dns(["10.0.0.1"])
            reachable.add("Encoder@10.0.0.1")
            search.dns(["10.0.0.1"])
            reachable.clear()
    assert len(logs) == 2


def test_what_is_gone_is_forgotten(search: Search) -> None:
    for number in range(100):
        search.dns([f"10.0.0.{number}"])
    assert len(search.finder._silent) == 1
