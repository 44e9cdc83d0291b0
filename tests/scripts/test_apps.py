"""What is installed and built for an application follows from the files in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import apps, steps
from scripts.apps import app_names, build_step, requirements_step
from scripts.steps import Step


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an application ``sample`` in a repository of its own."""
    monkeypatch.setattr(apps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    folder = tmp_path / "apps" / "sample"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Step:
    return Step("Installing", tmp_path / "stamp", "digest", [["true"]], product=tmp_path)


def test_applications_are_folders(folder: Path) -> None:
    (folder.parent / "__init__.py").touch()
    (folder.parent / "__pycache__").mkdir()
    assert app_names() == ["sample"]


def test_requirements_are_installed_those_without_dependencies_too(folder: Path, package: Step) -> None:
    assert requirements_step("sample", package).is_done
    (folder / "requirements.txt").write_text("a\n")
    (folder / "requirements-build-nodeps.txt").write_text("b\n")
    commands = [command[command.index("install") + 1 :] for command in requirements_step("sample", package).commands]
    assert commands == [
        ["--no-deps", "--requirement", "apps/sample/requirements-build-nodeps.txt"],
        ["--requirement", "apps/sample/requirements.txt"],
    ]


def test_requirements_count(folder: Path, package: Step) -> None:
    (folder / "requirements.txt").write_text("a==1\n")
    before = requirements_step("sample", package).digest
    (folder / "requirements.txt").write_text("a==2\n")
    assert requirements_step("sample", package).digest != before


def test_an_application_without_a_build_needs_none(folder: Path, package: Step) -> None:
    assert build_step("sample", package).is_done
    (folder / "build.py").touch()
    assert not build_step("sample", package).is_done


def test_sources_and_data_count_and_what_is_made_of_them_does_not(folder: Path, package: Step) -> None:
    def digest_with(name: str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
        return build_step("sample", package).digest

    first = digest_with("build.py")
    for made in (
        "artifacts/model.bin",
        ".artifacts.1.new/model.bin",
        "__pycache__/build.pyc",
        ".kapelle/run/record",
        "tests/test_x.py",
    ):
        assert digest_with(made) == first
    assert digest_with("corpus/questions.txt") != first
