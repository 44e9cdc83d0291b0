from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from kapelle.config.settings import Settings
from kapelle.control import adoption as module
from kapelle.control.adoption import assign, claim_side_door, find_strangers, get_door, lives
from kapelle.control.exits import birth
from kapelle.control.recipes import Recipe, slot_of
from kapelle.control.rundir import Record, RunDir
from kapelle.control.spawn import spawn
from kapelle.errors import StartError
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.door import Lender, claim, open_door
from kapelle.transport.sockets import Address
from kapelle.transport.supervision import Supervised
from kapelle.wire import messages
from tests.unit.control.stage import recipe

PATIENCE = 10.0


def record(name: str, role: Literal["gateway", "replica"] = "replica", **more: Any) -> Record:
    usual = {"service": "", "shards": [], "pid": 1, "born": "1", "data": "", "control": "", "slot": slot_of(name)}
    return Record(name=name, role=role, **{**usual, **more})


class Remains:
    """A run folder whose controller is gone, and what it left running."""

    def __init__(self, folder: Path) -> None:
        self.run = RunDir(folder / "run")
        self.run.acquire()
        self._started: list[subprocess.Popen[bytes]] = []

    def puppet(self, play: str, name: str = "Puppet-0") -> subprocess.Popen[bytes]:
        """A replica that plays."""
        control, data = (Address.parse(address) for address in (self.run.control(name), self.run.data(name)))
        self._started.append(spawn(recipe(play), name, recipe(play).holding, control, data, None).popen)
        return self._started[-1]

    def hung_gateway(self, door: socket.socket, name: str = "gateway-0") -> Record:
        """A process that holds the door and lends it to nobody."""
        popen = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[door.fileno()])
        self._started.append(popen)
        return record(name, "gateway", pid=popen.pid, born=birth(popen.pid))

    def close(self) -> None:
        for popen in self._started:
            popen.kill()
            popen.wait()
            if popen.stdin is not None:
                popen.stdin.close()
        self.run.remove()


@pytest.fixture
async def remains(tmp_path: Path) -> AsyncIterator[Remains]:
    remains = Remains(tmp_path)
    yield remains
    remains.close()


def settings(**values: Any) -> Settings:
    return msgspec.convert({"port": 0, **values}, Settings)


def test_a_process_on_record_lives_while_it_is_the_same() -> None:
    me = os.getpid()
    assert lives(record("Echo-0", pid=me, born=birth(me)))
    assert not lives(record("Echo-0", pid=me, born="1")), "another has the number now"
    assert not lives(record("Echo-0", pid=0, born="")), "it did not run when that was written"


def places(records: list[Record], recipes: list[Recipe]) -> tuple[dict[str, str], list[str]]:
    taken, left_over = assign(records, recipes)
    return {slot: one.name for slot, one in taken.items()}, [one.name for one in left_over]


def test_each_place_is_taken_by_the_one_that_serves_and_then_by_the_younger() -> None:
    recipes = [recipe("ready", "Puppet-0"), recipe("ready", "Puppet-1"), recipe("ready", "Puppet-2")]
    records = [
        record("Puppet-0", ready=True, started=1.0),
        record("Puppet-0~2", ready=False, started=9.0),
        record("Puppet-1", ready=True, started=1.0),
        record("Puppet-1~2", ready=True, started=9.0),
    ]
    assert places(records, recipes) == ({"Puppet-0": "Puppet-0", "Puppet-1": "Puppet-1~2"}, ["Puppet-1", "Puppet-0~2"])


def test_what_the_plan_does_not_have_is_left_over() -> None:
    records = [record("Puppet-1"), record("Puppet-0", "gateway")]
    assert places(records, [recipe("ready", "Puppet-0")]) == ({}, ["Puppet-1", "Puppet-0"])


async def test_the_door_of_a_gateway_that_runs_is_kept(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as door:
        lender = Lender(remains.run.door("gateway-0"), door)
        with await get_door(remains.run, settings(), [record("gateway-0", "gateway")], PATIENCE) as found:
            assert found.getsockname() == door.getsockname()
            assert os.fstat(found.fileno()).st_ino == os.fstat(door.fileno()).st_ino, "it is the same queue"
        lender.close()


async def test_a_door_elsewhere_is_let_go(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as door, open_door("127.0.0.1", 0) as other:
        wanted = other.getsockname()[1]
        lenders = [Lender(remains.run.door(name), each) for name, each in (("gateway-0", door), ("gateway-1", other))]
        gateways = [record("gateway-0", "gateway"), record("gateway-1", "gateway")]
        before = handles()
        with await get_door(remains.run, settings(port=wanted), gateways, PATIENCE) as found:
            assert found.getsockname()[1] == wanted
            assert len(handles() - before) == 1, "only the one that is used stays open"
        for lender in lenders:
            lender.close()


async def test_there_is_a_new_door_where_nobody_lends_one(remains: Remains) -> None:
    sockets.bind(Address("unix", str(remains.run.door("gateway-0")))).close()
    with await get_door(remains.run, settings(), [], PATIENCE) as door:
        assert door.getsockname()[1] != 0


async def test_a_gateway_that_hangs_at_the_door_is_ended(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        gateway = remains.hung_gateway(door)
    with await get_door(remains.run, settings(port=port), [gateway], PATIENCE) as found:
        assert found.getsockname()[1] == port
    assert not lives(gateway)


async def test_a_gateway_that_hangs_elsewhere_is_left_alone(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as door:
        gateway = remains.hung_gateway(door)
    with await get_door(remains.run, settings(), [gateway], PATIENCE):
        assert lives(gateway)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "[::1]"])
async def test_an_address_that_is_not_of_this_machine_is_told_with_the_option_that_changes_it(
    remains: Remains, host: str
) -> None:
    with pytest.raises(
        StartError, match=rf"cannot listen on {re.escape(host)}:0: .*; choose an address .* with --host"
    ):
        await get_door(remains.run, settings(host=host), [], PATIENCE)


async def test_a_port_that_takes_rights_is_told_as_such(remains: Remains, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "open_door", refused)
    with pytest.raises(StartError, match=r"Permission denied; this user may not take the port, .* with --port"):
        await get_door(remains.run, settings(port=80), [], PATIENCE)


async def test_an_address_that_others_hold_is_an_error(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as taken, open_door("127.0.0.1", 0) as door:
        port = taken.getsockname()[1]
        lender = Lender(remains.run.door("gateway-0"), door)
        before = handles()
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: .*--port"):
            await get_door(remains.run, settings(port=port), [record("gateway-0", "gateway")], PATIENCE)
        assert handles() == before
        lender.close()


async def test_it_is_so_too_where_a_gateway_hangs_that_does_not_hold_it(remains: Remains) -> None:
    with open_door("127.0.0.1", 0) as taken, open_door("127.0.0.1", 0) as door:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: "):
            await get_door(remains.run, settings(port=port), [remains.hung_gateway(door)], PATIENCE)


async def test_a_host_that_nobody_has_is_an_error(remains: Remains) -> None:
    with pytest.raises(StartError, match=r"cannot listen on 203\.0\.113\.1:0: "):
        await get_door(remains.run, settings(host="203.0.113.1"), [], PATIENCE)


async def test_a_process_on_no_record_is_found(remains: Remains) -> None:
    run, popen = remains.run, remains.puppet("ready", "Puppet-0~2")
    assert await find_strangers(run, [], 1.0) == [
        Record(
            name="Puppet-0~2", slot="Puppet-0", role="replica", service="", shards=[], pid=popen.pid,
            born=birth(popen.pid), data=run.data("Puppet-0~2"), control=run.control("Puppet-0~2"), ready=True,
        )
    ]  # fmt: skip


async def test_one_that_loads_is_found_too(remains: Remains) -> None:
    remains.puppet("start forever")
    (found,) = await find_strangers(remains.run, [], 1.0)
    assert not found.ready


async def test_a_gateway_is_known_by_its_door(remains: Remains) -> None:
    remains.puppet("ready", "gateway-0")
    sockets.bind(Address("unix", str(remains.run.door("gateway-0")))).close()
    os.unlink(remains.run.data("gateway-0").removeprefix("unix:"))  # noqa: PTH108 - the plain system call is meant
    (found,) = await find_strangers(remains.run, [], 1.0)
    assert (found.role, found.data) == ("gateway", "")


async def test_who_is_on_record_is_no_stranger(remains: Remains) -> None:
    remains.puppet("ready")
    known = record("Puppet-0", control=remains.run.control("Puppet-0"))
    assert await find_strangers(remains.run, [known], 1.0) == []


async def test_a_socket_whose_process_is_gone_is_nobody(remains: Remains) -> None:
    sockets.bind(Address.parse(remains.run.control("Puppet-0"))).close()
    assert await find_strangers(remains.run, [], 1.0) == []


async def test_one_that_has_not_begun_is_asked_to_end(remains: Remains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER", 0.05)
    asked: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    control = sockets.bind(Address.parse(remains.run.control("Puppet-0")))
    assert await find_strangers(remains.run, [], 7.0) == []
    # It listened from the beginning, and only now gets round to reading.
    beginner = Supervised(health=lambda: ("starting", "", 0, 0), collect=list, on_drain=asked.set_result)
    server = await sockets.serve(control, beginner.accept)
    assert await asked == 7.0
    server.close()


async def test_nonsense_is_no_answer_and_what_follows_is(remains: Remains) -> None:
    def talk(connection: Connection) -> None:
        connection.start(lambda _: None, lambda _: None)
        connection.send(b"nonsense")
        connection.send(messages.encode(messages.Health(0, "ready", "", 0, 0, os.getpid())))

    server = await sockets.serve(sockets.bind(Address.parse(remains.run.control("Puppet-0"))), talk)
    (found,) = await find_strangers(remains.run, [], 1.0)
    assert found.pid == os.getpid()
    server.close()


def handles() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the plain system call is meant


def test_the_port_of_grpc_is_kept_where_it_can_be() -> None:
    with open_door("127.0.0.1", 0) as door, open_door("127.0.0.1", 0) as taken:
        kept = claim_side_door(door, settings(), gateways=False)
        assert kept is not None
        assert kept.getsockname()[1] == door.getsockname()[1] + 1
        kept.close()
        assert claim_side_door(door, settings(grpc_port=-1), gateways=False) is None
        assert claim_side_door(door, settings(grpc_port=taken.getsockname()[1]), gateways=False) is None


def test_the_port_of_grpc_is_not_shared_with_another_system() -> None:
    """Each of them would get a part of the other's clients."""
    with open_door("127.0.0.1", 0) as door, claim("127.0.0.1", door.getsockname()[1] + 1) as theirs:
        before = handles()
        port = theirs.getsockname()[1]
        with pytest.raises(StartError, match=rf"gRPC cannot have port {port}: another system .* KAPELLE_GRPC_PORT"):
            claim_side_door(door, settings(), gateways=False)
        assert handles() == before
        with claim_side_door(door, settings(), gateways=True) or theirs as ours:
            assert ours is not theirs, "with gateways that run it is"
