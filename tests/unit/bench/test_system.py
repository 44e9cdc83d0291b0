from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kapelle.bench.system import pids_of, quiet, running, temporary_folder, written_app
from kapelle.config.settings import Settings
from kapelle.control.exits import birth
from kapelle.declare.loading import Target
from kapelle.errors import StartError

CHAIN = "from kapelle.bench.chain import declare\n\nChain = declare(1, __name__)"


def test_a_quiet_system_is_found_by_nobody_else() -> None:
    chosen = quiet(Settings(host="0.0.0.0", port=80, tls_key="key", gateways=2), transport="tcp")
    assert (chosen.host, chosen.port, chosen.tls_key) == ("127.0.0.1", 0, "")
    assert (chosen.gateways, chosen.transport) == (2, "tcp")


def test_a_written_app_is_a_target_and_each_has_a_module_of_its_own(tmp_path: Path) -> None:
    first, second = written_app(tmp_path, CHAIN), written_app(tmp_path, CHAIN)
    assert first != second
    assert [len(Target(one).load().services) for one in (first, second)] == [1, 1]


def test_a_folder_goes_away_with_all_that_is_in_it(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


async def test_a_system_has_processes_until_it_is_left(tmp_path: Path) -> None:
    target = written_app(tmp_path, CHAIN)
    async with running(target, Target(target).load(), quiet(Settings()), tmp_path) as controller:
        pids = pids_of(controller)()
        assert len(pids) == 2
        assert controller.url.startswith("http://127.0.0.1:")
    assert not any(map(birth, pids))


async def test_an_app_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    # Its processes cannot import what this one can: they do not have this module.
    code = f"import sys\n\nassert {Path(__file__).stem!r} in str(sys.modules)\n{CHAIN}"
    target = written_app(tmp_path, code)
    assert __name__ in sys.modules
    with pytest.raises(StartError, match="MeasuredChain did not start"):
        async with running(target, Target(target).load(), quiet(Settings()), tmp_path):
            pass
