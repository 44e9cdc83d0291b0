from __future__ import annotations

import pytest

from kapelle.deploy.service_options import PIDS, container, healthcheck, limits, mebibytes, part_options, takes_secret
from kapelle.deploy.topology import Role, environment
from kapelle.deploy.yaml import Alias
from tests.unit.deploy.systems import demanding, system_of


@pytest.mark.parametrize(("size", "shown"), [(2**30, "1024M"), (2**30 + 1, "1025M"), (1, "1M")])
def test_sizes_are_rounded_up(size: int, shown: str) -> None:
    assert mebibytes(size) == shown


def test_limits_are_those_of_the_declaration() -> None:
    [part] = demanding().of(Role.REPLICA)
    assert limits(part) == {"cpus": "1.5", "memory": "1280M", "pids": PIDS}
    assert limits(system_of("question_search").of(Role.DOOR)[0]) == {"pids": PIDS}


def test_stopping_takes_as_long_as_draining_and_starting_as_long_as_loading() -> None:
    system = system_of("question_search", drain_timeout=60, start_timeout=100)
    assert container(system)["stop_grace_period"].value == "75s"
    assert healthcheck(system)["start_period"].value == "100s"


def test_settings_that_are_shared_are_written_once() -> None:
    system = system_of("question_search")
    controller, replica = system.of(Role.CONTROLLER)[0], system.of(Role.REPLICA)[0]
    shared = environment(system, controller, peers="", node="")
    assert part_options(system, replica, shared, shared)["environment"] == Alias("settings")
    own = {**shared, "KAPELLE_DOOR": "/x"}
    assert part_options(system, replica, shared, own)["environment"] == {"<<": Alias("settings"), "KAPELLE_DOOR": "/x"}
    assert part_options(system, replica, shared, {"OWN": 1})["environment"] == {"OWN": 1}


def test_who_talks_to_others_has_the_secret() -> None:
    system = system_of("question_search")
    assert [part.name for part in system.parts if takes_secret(part)] == ["controller", "encoder", "cluster", "gateway"]
