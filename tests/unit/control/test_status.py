"""The form of ``kapelle status --json``: others' programs read it."""

from __future__ import annotations

import json

import msgspec
import pytest

from kapelle.control.status import ProcessStatus, SystemStatus, decode, encode

SYSTEM = SystemStatus(
    target="app.py",
    url="http://127.0.0.1:8080",
    controller=7,
    processes=[
        ProcessStatus(
            name="Echo-0~2", role="replica", service="Echo", release="r7", shards=[0, 2], pid=71, phase="serving",
            restarts=1, last_end="killed by SIGKILL", uptime=1.5, memory=4096, in_flight=3, queued=2,
            releases={"r7": "serving", "r8": "loading"}, node="node-a", code="5f1c2a3b4c5d",
        )
    ],
)  # fmt: skip

PROCESS: dict[str, object] = {
    "name": "Echo-0~2",
    "role": "replica",
    "service": "Echo",
    "release": "r7",
    "shards": [0, 2],
    "pid": 71,
    "phase": "serving",
    "restarts": 1,
    "last_end": "killed by SIGKILL",
    "uptime": 1.5,
    "memory": 4096,
    "in_flight": 3,
    "queued": 2,
    "releases": {"r7": "serving", "r8": "loading"},
    "node": "node-a",
    "code": "5f1c2a3b4c5d",
}
LATER = {"releases", "node", "code"}
"""What older controllers do not say."""
WRITTEN: dict[str, object] = {
    "target": "app.py",
    "url": "http://127.0.0.1:8080",
    "controller": 7,
    "processes": [PROCESS],
}


def test_it_is_written_under_the_names_that_others_read() -> None:
    assert json.loads(encode(SYSTEM)) == WRITTEN


def test_what_is_written_is_read() -> None:
    assert decode(encode(SYSTEM)) == SYSTEM


def test_a_field_of_a_newer_controller_is_passed_over() -> None:
    assert decode(json.dumps({**WRITTEN, "machines": 2})) == SYSTEM


@pytest.mark.parametrize("field", WRITTEN)
def test_a_field_that_is_missing_is_named(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
        decode(json.dumps(without(field, WRITTEN)))


@pytest.mark.parametrize("field", PROCESS.keys() - LATER)
def test_so_is_one_of_a_process(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
        decode(json.dumps({**WRITTEN, "processes": [without(field, PROCESS)]}))


def test_an_older_controller_says_nothing_of_what_came_later() -> None:
    older = {name: value for name, value in PROCESS.items() if name not in LATER}
    (read,) = decode(json.dumps({**WRITTEN, "processes": [older]})).processes
    assert (read.releases, read.node, read.code) == ({}, "", "")


def without(field: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != field}
