"""``kapelle build``: what it writes, builds and prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kapelle.cli.build import run_build_images, size_in_words
from kapelle.deploy.building import Options
from kapelle.errors import DeployError
from tests.unit.deploy.conftest import project
from tests.unit.deploy.fake_docker import VERSION, put_docker
from tests.unit.deploy.sample_app import SampleApp

__all__ = ["project"]

SCRIPT = (
    VERSION
    + r"""
case $1 in history)
    printf '2000\tCOPY /app /app\n'
    printf '4000000\tCOPY /opt/kapelle /opt/venv\n300000000\tCOPY /opt/venv /opt/venv\n100000000\tFROM\n'
    exit;;
esac
echo '#4 [dependencies 2/2] RUN pip'
echo '#4 DONE 20.5s'
echo '#5 [code 1/2] COPY'
echo '#5 CACHED'
"""
)


def run(folder: Path, *, only_write: bool = False, compare: bool = False) -> int:
    return run_build_images(str(folder), "cpu", "", Options(), only_write=only_write, compare=compare)


@pytest.fixture
def sample(project: Path) -> SampleApp:
    return SampleApp(project)


def test_what_would_be_built_is_written_without_docker(
    sample: SampleApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(sample.project))
    assert run(sample.folder, only_write=True) == 0
    said = capsys.readouterr().out
    assert "written to .kapelle/images/shop.search: 3 images" in said
    assert re.search(r"small-search:[0-9a-f]{12}  gateway, controller, Encoder\n", said)
    with pytest.raises(DeployError, match=r"there is no docker on this machine; install .*--only-write"):
        run(sample.folder)


def test_each_part_is_listed_once_with_what_it_cost(
    sample: SampleApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_docker(sample.project, monkeypatch, SCRIPT)
    assert run(sample.folder, compare=True) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dependencies", "300", "MB", "20.5", "s"] in said
    assert ["kapelle", "4.0", "MB", "was", "there"] in said
    assert ["code", "2.0", "kB", "was", "there"] in said
    assert sum(line[:1] == ["dependencies"] for line in said) == 1
    assert sum(line[:1] != [] and line[0].startswith("small-search-naive:") for line in said) == 1
    assert said[-1][:4] == ["404", "MB", "on", "disk:"]


def test_says_what_one_stage_would_cost(
    sample: SampleApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_docker(sample.project, monkeypatch, SCRIPT)
    assert run(sample.folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "in one stage each container would have about 404 MB, 304 MB of it anew at each change of code, which is 2.0 kB "
        "here; --compare builds that, too"
    )


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123456789, "123 MB"), (10**13, "10000 GB")]
)
def test_sizes_as_engines_print_them(size: int, words: str) -> None:
    assert size_in_words(size) == words
