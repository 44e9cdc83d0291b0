"""Golden queries see the release that they are asked of, one after the other; a failure is a line that says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.declare.golden import golden_of
from kapelle.gateway.edition import Edition
from kapelle.gateway.golden import ask
from kapelle.testing import MemorySystem, running


@kapelle.service(artifact="book")
class Reader:
    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.method
    async def read(self) -> list[str]:
        request = kapelle.current_request()
        assert request is not None
        if self.edition == "torn":
            raise ValueError("a page is missing")
        return [self.edition, request.release, request.id]


@kapelle.app
class Library:
    reader: Reader

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @kapelle.get("/read")
    async def read(self) -> list[str]:
        kapelle.quality(0.5)
        return await self.reader.read()

    @kapelle.golden
    async def a_reads(self) -> None:
        self.asked.append((kapelle.current_request(), await self.read()))

    @kapelle.golden
    async def b_reads_again(self) -> None:
        self.asked.append((kapelle.current_request(), await self.read()))


def publish(folder: Path, edition: str) -> Path:
    (folder / "book").mkdir(parents=True)
    (folder / "book" / "edition").write_text(edition)
    return folder


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[MemorySystem]:
    async with running(Library, artifacts=publish(tmp_path / "local", "first")) as system:
        yield system


async def prepare(system: MemorySystem, release: str, artifacts: Path) -> Edition:
    """A second edition beside the one that has the traffic."""
    source = ArtifactFolder(artifacts)
    assembly = system._started
    for worker in system._workers.values():
        worker.serve(release, await build(worker.spec, [0], source, worker.runner.in_thread))
    await assembly.prepare(release, source)
    while not assembly.fleet.serves(release):
        system._changed.clear()
        await system._changed.wait()
    return assembly.editions[release]


async def test_the_prepared_release_is_asked_while_the_other_has_the_traffic(
    system: MemorySystem, tmp_path: Path
) -> None:
    edition = await prepare(system, "r2", publish(tmp_path / "r2", "second"))
    assert await ask(edition, system.spec) is None
    assert [answer[:2] for _, answer in edition.app.asked] == [["second", "r2"]] * 2
    for context, answer in edition.app.asked:
        assert (context.release, context.id) == ("r2", answer[2])
        assert context.id.startswith("golden-")
    assert kapelle.current_request() is None, "the request is its own"
    assert edition.running == 0
    answer = (await system.client.get("/read")).json()
    assert answer[:2] == ["first", "local"]
    assert (edition.vitals.requests, edition.vitals.scores) == (0, 0), "golden queries are no traffic"


async def test_what_a_service_raises_is_told_in_a_line(system: MemorySystem, tmp_path: Path) -> None:
    edition = await prepare(system, "r2", publish(tmp_path / "r2", "torn"))
    with capture_logs() as logs:
        assert await ask(edition, system.spec) == "a_reads: ValueError: a page is missing"
    (entry,) = [one for one in logs if one["event"] == "golden query failed"]
    assert (entry["golden"], entry["release"]) == ("a_reads", "r2")
    assert isinstance(entry["exc_info"], kapelle.UserCodeError)
    assert entry["exc_info"].__traceback__ is not None


# --- failures of all kinds --------------------------------------------------------------------------------------------


class Mute(AssertionError):
    def __str__(self) -> str:
        raise RuntimeError("there is nothing to say")


class Failures:
    """One golden query each; ``asked`` runs it."""

    def __init__(self) -> None:
        self.cancelled = False
        self.waiting = asyncio.Event()

    @kapelle.golden
    async def says_why(self) -> None:
        raise AssertionError("0.4 is not above 0.9,\n  by far")

    @kapelle.golden
    async def is_refused(self) -> None:
        raise kapelle.Overloaded("Reader has no place")

    @kapelle.golden
    async def breaks(self) -> None:
        raise KeyError("Why?")

    @kapelle.golden
    async def leaves(self) -> None:
        raise SystemExit(3)

    @kapelle.golden
    async def fails_as_in_a_test(self) -> None:
        pytest.fail("3 answers, expected 4")

    @kapelle.golden
    async def cannot_say_why(self) -> None:
        raise Mute

    @kapelle.golden
    async def names_an_odd_file(self) -> None:
        raise ValueError("no file caf\udce9.txt")

    @kapelle.golden
    async def waits_for_what_was_cancelled(self) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    @kapelle.golden(timeout="20ms")
    async def takes_too_long(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True

    @kapelle.golden(timeout="20ms")
    async def takes_too_long_and_hides_it(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True

    @kapelle.golden(timeout="20ms")
    async def takes_too_long_and_breaks(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("half done")

    @kapelle.golden
    async def has_its_own_limit(self) -> None:
        raise TimeoutError("its own")

    @kapelle.golden
    async def talks(self) -> None:
        raise ValueError("word " * 1000)

    @kapelle.golden
    async def runs_on(self) -> None:
        self.waiting.set()
        await asyncio.Event().wait()


def edition_of(app: Any, name: str) -> tuple[Edition, AppSpec]:
    """An edition whose only golden query is ``name``."""

    @kapelle.app
    class App:
        @kapelle.get("/")
        async def root(self) -> None: ...

    spec = app_spec(App)
    assert spec is not None
    golden = tuple(one for one in golden_of(type(app)) if one.name == name)
    assert golden
    edition = Edition(spec, "r6")
    edition.app = app
    return edition, AppSpec(
        **{field: getattr(spec, field) for field in AppSpec.__dataclass_fields__ if field != "golden"}, golden=golden
    )


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("says_why", "AssertionError: 0.4 is not above 0.9, by far"),
        ("is_refused", "Reader has no place"),
        ("breaks", "KeyError: 'Why?'"),
        ("leaves", "SystemExit: 3"),
        ("fails_as_in_a_test", "Failed: 3 answers, expected 4"),
        ("cannot_say_why", f"{__name__}.Mute: <exception str() failed>"),
        ("names_an_odd_file", r"ValueError: no file caf\udce9.txt"),
        ("waits_for_what_was_cancelled", "asyncio.exceptions.CancelledError"),
        ("takes_too_long", "no answer within 0.02 s"),
        ("takes_too_long_and_hides_it", "no answer within 0.02 s"),
        ("takes_too_long_and_breaks", "no answer within 0.02 s"),
        ("has_its_own_limit", "TimeoutError: its own"),
    ],
)
async def test_failures(name: str, failure: str) -> None:
    edition, spec = edition_of(Failures(), name)
    with capture_logs() as logs:
        assert await ask(edition, spec) == f"{name}: {failure}"
    assert [one["event"] for one in logs] == ["golden query failed"]
    assert edition.running == 0


async def test_the_log_tells_what_was_waited_for() -> None:
    app = Failures()
    edition, spec = edition_of(app, "takes_too_long")
    with capture_logs() as logs:
        await ask(edition, spec)
    assert app.cancelled
    error = logs[0]["exc_info"]
    functions = set()
    while error is not None:
        at = error.__traceback__
        while at is not None:
            functions.add(at.tb_frame.f_code.co_name)
            at = at.tb_next
        # Before Python 3.11.5 asyncio.timeout does not say that one is the cause of the other.
        error = error.__cause__ or error.__context__
    assert {"takes_too_long", "wait"} <= functions


async def test_a_long_reason_is_cut() -> None:
    edition, spec = edition_of(Failures(), "talks")
    failure = await ask(edition, spec)
    assert failure is not None
    assert failure.startswith("talks: ValueError: word word")
    assert failure.endswith("…")
    assert len(failure) < 500


async def test_asking_can_be_given_up() -> None:
    app = Failures()
    edition, spec = edition_of(app, "runs_on")
    asking = asyncio.create_task(ask(edition, spec))
    await app.waiting.wait()
    assert edition.running == 1, "the edition is not given up under it"
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert edition.running == 0


# Not rewritten by pytest, which would add the values to the messages.
BARE = """
import kapelle


class Bare:
    @kapelle.golden
    async def one_line(self) -> None:
        score = 0.4
        assert score > 0.9  # the best one

    @kapelle.golden
    async def several_lines(self) -> None:
        assert all(
            score > 0.9
            for score in [0.4]
        )

    @kapelle.golden
    async def in_a_helper(self) -> None:
        check(0.4)

    @kapelle.golden
    async def raises(self) -> None:
        raise AssertionError


def check(score: float) -> None:
    assert score > 0.9
"""


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("one_line", "assert score > 0.9 # the best one"),
        ("several_lines", "assert all( score > 0.9 for score in [0.4] )"),
        ("in_a_helper", "assert score > 0.9"),
        ("raises", "raise AssertionError"),
    ],
)
async def test_a_bare_assert_is_told_by_its_source(tmp_path: Path, name: str, source: str) -> None:
    path = tmp_path / "bare.py"
    path.write_text(BARE)
    found = spec_from_loader("bare", SourceFileLoader("bare", str(path)))
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    edition, spec = edition_of(module.Bare(), name)
    assert await ask(edition, spec) == f"{name}: AssertionError: {source}"
