"""A release that is broken in any way is refused with a reason, and those that use the running one never notice."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kapelle.artifacts.history import History
from kapelle.artifacts.stores import open_objects
from kapelle.testing import running_processes
from tests.integration.processes.load import Load
from tests.integration.processes.releases.library import Library
from tests.integration.processes.releases.shelf import Shelf, Witness

Flaw = Callable[[Shelf], str]


def flipped(shelf: Shelf) -> str:
    release = shelf.add("two", 2)
    blob = shelf.blob(release, "pages/shards/001/edition")
    content = bytearray(blob.read_bytes())
    content[0] ^= 1
    blob.write_bytes(content)
    return release


def truncated(shelf: Shelf) -> str:
    folder = shelf.write("two", 2)
    np.save(folder / "book/vector.npy", np.ones(4))
    release = shelf.store_away(folder)
    blob = shelf.blob(release, "book/vector.npy")
    blob.write_bytes(blob.read_bytes()[:-7])
    return release


def missing(shelf: Shelf) -> str:
    release = shelf.add("two", 2)
    shelf.blob(release, "book/edition").unlink()
    return release


def wrong_dimension(shelf: Shelf) -> str:
    folder = shelf.write("two", 2)
    np.save(folder / "pages/shards/000/vector.npy", np.arange(3.0))
    return shelf.store_away(folder)


def not_a_number(shelf: Shelf) -> str:
    folder = shelf.write("two", 2)
    np.save(folder / "book/vector.npy", np.array([1, 2, np.nan, 4]))
    return shelf.store_away(folder)


def killing(shelf: Shelf) -> str:
    folder = shelf.write("two", 2)
    (folder / "pages/shards/001/kills").touch()
    return shelf.store_away(folder)


def hanging(shelf: Shelf) -> str:
    folder = shelf.write("two", 2)
    (folder / "pages/shards/000/hangs").touch()
    return shelf.store_away(folder)


def boring(shelf: Shelf) -> str:
    return shelf.add("boring", 2)


def without_pages(shelf: Shelf) -> str:
    return shelf.releases.build("Library", shelf.write("two", 2), ["book"], lambda _: None)[0].name


def of_a_newer_format(shelf: Shelf) -> str:
    release = shelf.add("two", 2)
    path = Path(shelf.store) / "releases" / f"{release}.json"
    manifest = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**manifest, "format": 2}))
    return release


def unknown(_: Shelf) -> str:
    return "r99"


FLAWS: list[tuple[Flaw, str]] = [
    (flipped, r"r2 is damaged: .*pages/shards/001/edition has SHA-256 \w{12}…, expected \w{12}…"),
    (truncated, r"r2 is damaged: book/vector.npy has \d+ bytes, expected \d+"),
    (missing, r"r2 is damaged: book/edition: .* has no blobs/"),
    (wrong_dimension, r"Page-\d could not load it: ValueError: vector.npy has shape \(3,\), expected \(4,\)"),
    (not_a_number, r"Reader-\d could not load it: ValueError: vector.npy has values that are not finite"),
    (killing, r"2 processes died while they built it: Page-\d, Page-\d"),
    (hanging, r"after 3 s it still waits for Page-\d"),
    (boring, r"golden query: is_not_boring: AssertionError: edition 'boring' is boring"),
    (without_pages, r"r2 has no artifact pages, which Library needs; it has book"),
    (of_a_newer_format, r"the manifest of r2 has format 2; this Kapelle reads format 1"),
    (unknown, r"no release 'r99' in .*; there are r1"),
]


@pytest.mark.parametrize(("flaw", "reason"), FLAWS, ids=[flaw.__name__ for flaw, _ in FLAWS])
async def test_a_broken_release_is_refused_and_nobody_notices(shelf: Shelf, flaw: Flaw, reason: str) -> None:
    one = shelf.add("one", 2)
    bad = flaw(shelf)
    witness = Witness()
    patience = 3 if flaw is hanging else 60
    async with (
        running_processes(
            Library, store=shelf.store, release=one, gateways=2, bake=0, prepare_timeout=patience
        ) as system,
        Load(system.url, path="/read", is_right=witness) as load,
    ):
        over = await system.conductor.publish(bad, lambda _: None)
        assert over.outcome == "refused"
        assert re.search(reason, over.reason), over.reason
        await load.more(30)
        assert witness.seen.keys() == {("one", 2)}
        ending = History(open_objects(shelf.store)).latest().get(bad)
        told = None if ending is None else (ending.outcome, ending.reason)
        # Of what is no release, nothing is: it may become one.
        assert told == (None if flaw is unknown else ("refused", over.reason)), "it is written down"
        over = await system.conductor.publish(shelf.add("three", 4), lambda _: None)
        assert over.outcome == "committed", "nothing later is held up"
        await load.until(lambda: witness.seen["three", 4] > 10)
        load.check()


async def test_a_store_that_goes_away_refuses_releases_and_stops_nothing(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("two", 2)
    witness = Witness()
    away = Path(shelf.store).with_name("away")
    async with (
        running_processes(Library, store=shelf.store, release=one, gateways=2, bake=0) as system,
        Load(system.url, path="/read", is_right=witness, forgiving=True) as load,
    ):
        await system.until(lambda: system.conductor.current == one)
        shelf.move(away)
        over = await system.conductor.publish(two, lambda _: None)
        assert over.outcome == "refused"
        assert over.reason == f"no release 'r2' in {shelf.store}; it is empty: `kapelle release build` makes one"
        for name in ("Page-0", "Reader-0", "gateway-1"):
            pid = system.kill(name)
            await system.restarted(name, pid)
        shelf.move_back(away)
        over = await system.conductor.publish(two, lambda _: None)
        assert over.outcome == "committed", over.reason
        await load.until(lambda: witness.seen["two", 2] > 10)
        load.check()


async def test_a_release_that_does_worse_under_traffic_is_rolled_back(shelf: Shelf) -> None:
    one, two = shelf.add("one", 2), shelf.add("worse", 2)
    witness = Witness()
    async with (
        running_processes(Library, store=shelf.store, release=one, bake=60) as system,
        Load(system.url, path="/read", is_right=witness) as load,
    ):
        await load.more(200)
        over = await system.conductor.publish(two, lambda _: None)
        assert (over.release, over.outcome) == (two, "rolled back")
        # On a busy machine it may be seen to be slower as well, before its answers are seen to be worse.
        assert re.search(r"quality .* on r1|slowest tenth .* on r1", over.reason), over.reason
        witness.seen.clear()
        await load.until(lambda: witness.seen["one", 2] > 20)
        assert system.conductor.current == one
        load.check()
