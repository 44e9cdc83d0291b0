"""The controller of containers: it finds them, brings them to releases, and knows who comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kapelle.control import overseer as module
from kapelle.control.overseer import Overseer
from kapelle.control.rundir import RunDir, System
from kapelle.declare.code import Code
from kapelle.errors import StartError
from kapelle.transport.credentials import Credentials
from tests.unit.control.containers import Engine, until


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    app = tmp_path / "app.py"
    app.write_text("the code of the image")
    engine = Engine(tmp_path, monkeypatch, Code("app.py", {"app.py": app}))
    yield engine
    await engine.close()


def seen(overseer: Overseer) -> list[str]:
    return [one.name for one in overseer.system_status().processes]


async def current(overseer: Overseer, release: str = "r1") -> None:
    await until(lambda: overseer.conductor.current == release)


async def test_it_finds_who_is_there_and_takes_up_the_pointer(engine: Engine) -> None:
    await engine.system()
    overseer = await engine.oversee()
    await until(lambda: len(seen(overseer)) == 3)
    await current(overseer)
    await until(lambda: all(one.release == "r1" for one in overseer.system_status().processes))
    found = overseer.system_status()
    assert seen(overseer) == ["gateway-127.0.9.3", "Model-127.0.9.1", "Model-127.0.9.2"]
    assert {one.phase for one in found.processes} == {"serving"}
    assert {one.code for one in found.processes} == {engine.code}
    assert found.url == "http://gateway:8080"


async def test_a_release_is_published_and_rolled_back(engine: Engine) -> None:
    containers = await engine.system()
    overseer = await engine.oversee()
    await current(overseer)
    await until(lambda: len(seen(overseer)) == 3)
    said: list[str] = []
    over = await overseer.conductor.publish("r2", said.append)
    assert (over.release, over.outcome) == ("r2", "committed")
    assert engine.log.read().release == "r2"
    await until(lambda: all(one.holds == {"r2": [0]} for one in containers))
    assert containers[2].routed == "r2"
    over = await overseer.conductor.rollback(said.append)
    assert over.outcome == "committed"
    await until(lambda: containers[2].routed == "r1")


async def test_a_release_of_other_code_is_refused_with_the_next_step(engine: Engine) -> None:
    await engine.system()
    await engine.start("127.0.9.4", code="0ther")
    overseer = await engine.oversee()
    await current(overseer)
    await until(lambda: len(seen(overseer)) == 4)
    over = await overseer.conductor.publish("r2", lambda _: None)
    assert over.outcome == "denied"
    assert f"r2 was built from code {engine.code}, and containers run 0ther" in over.reason
    assert "`kapelle build` and `kapelle deploy`" in over.reason
    assert engine.log.read().release == "r1"


async def test_a_container_that_comes_late_is_brought_to_the_current_release(engine: Engine) -> None:
    await engine.system()
    overseer = await engine.oversee()
    await current(overseer)
    await until(lambda: len(seen(overseer)) == 3)
    await overseer.conductor.publish("r2", lambda _: None)
    late = await engine.start("127.0.9.4")
    await until(lambda: late.holds == {"r2": [0]})


async def test_one_that_dns_has_no_more_stays_while_it_can_be_reached(engine: Engine) -> None:
    one, _, _ = await engine.system()
    overseer = await engine.oversee()
    await until(lambda: len(seen(overseer)) == 3)
    engine.dns["model"].discard(one.address)
    await until(lambda: overseer._discovery._found["Model"] == {"127.0.9.2"})
    assert len(seen(overseer)) == 3
    await one.close()
    await until(lambda: one.address not in overseer._remotes)
    assert len(seen(overseer)) == 2


async def test_one_that_drains_is_no_part_of_the_system(engine: Engine) -> None:
    one, _, _ = await engine.system()
    overseer = await engine.oversee()
    await until(lambda: len(seen(overseer)) == 3)
    one.become("draining")
    await until(lambda: len(seen(overseer)) == 2)


async def test_one_that_leaves_is_let_go_when_others_have_what_it_holds(engine: Engine) -> None:
    one, other, _ = await engine.system()
    overseer = await engine.oversee()
    await current(overseer)
    await until(lambda: len(seen(overseer)) == 3)
    one.become("leaving")
    await until(lambda: one.drains)
    assert one.drains[0] == 7.0
    assert not other.drains


async def test_another_controller_takes_up_where_the_first_one_was(engine: Engine) -> None:
    containers = await engine.system()
    first = await engine.oversee()
    await current(first)
    await until(lambda: len(seen(first)) == 3)
    await first.conductor.publish("r2", lambda _: None)
    engine.overseers.remove(first)
    first.close()
    second = await engine.oversee()
    await current(second, "r2")
    await until(lambda: len(seen(second)) == 3)
    over = await second.conductor.publish("r3", lambda _: None)
    assert over.outcome == "committed"
    await until(lambda: all(one.holds == {"r3": [0]} for one in containers))


async def test_dead_addresses_are_told_of_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 3)
    await engine.system()
    engine.dns["model"].add("127.0.9.9")
    with capture_logs() as logs:
        overseer = await engine.oversee()
        await until(lambda: overseer._unanswered.get("127.0.9.9", 0) > 6)
        engine.dns["model"].discard("127.0.9.9")
        await until(lambda: not overseer._unanswered)
    told = [said for said in logs if said["event"] == "DNS has an address at which no process answers"]
    assert [said["address"] for said in told] == ["127.0.9.9"]
    assert "Connection refused" in told[0]["reason"]


async def test_who_does_not_know_the_secret_is_not_spoken_to(engine: Engine) -> None:
    stranger = await engine.start("127.0.9.8", credentials=Credentials(b"some other secret of theirs"))
    overseer = await engine.oversee()
    await until(lambda: "127.0.9.8" in overseer._remotes and overseer._remotes["127.0.9.8"].trouble)
    assert "secret" in overseer._remotes["127.0.9.8"].trouble
    assert seen(overseer) == []
    assert stranger.holds == {"r1": [0]}
    assert overseer.unready().startswith("every process of the system refuses it: the secret does not match")
    await engine.start("127.0.9.7")
    await until(lambda: len(seen(overseer)) == 1)
    assert overseer.unready() == ""


async def test_people_find_it_in_its_run_folder(engine: Engine) -> None:
    overseer = await engine.oversee(port=9000, tls_certificate="c", tls_key="k")
    run = RunDir(engine.folder / "run")
    assert run.has_controller
    assert run.system() == System(target="app.py", url="https://gateway:9000")
    with pytest.raises(StartError, match="a controller already runs"):
        await engine.oversee()
    engine.overseers.remove(overseer)
    overseer.close()
    assert not run.has_controller
