from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.cli.failures import load_app
from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failure(name: str, code: str) -> str:
    Path(name).write_text(code)
    with pytest.raises(DeclarationError) as failed:
        load_app(Target(name))
    return failed.value.detail


def test_shows_only_the_users_part_of_a_traceback() -> None:
    code = "import kapelle\n\ndef load():\n    return {}['weights']\n\nload()\n"
    lines = failure("raises.py", code).splitlines()
    here = Path.cwd() / "raises.py"
    assert lines[0] == "raises.py cannot be imported:"
    assert [line.strip() for line in lines if line.startswith("  File")] == [
        f'File "{here}", line 6, in <module>',
        f'File "{here}", line 4, in load',
    ]
    assert lines[-1] == "KeyError: 'weights'"


@pytest.mark.parametrize("code", ["import sys\nsys.exit()\n", "raise GeneratorExit\n"])
def test_an_import_that_would_end_the_program_has_failed(code: str) -> None:
    lines = failure(f"exits_{len(code)}.py", code).splitlines()
    assert lines[0].endswith(" cannot be imported:")
    assert code.splitlines()[-1] in [line.strip() for line in lines]
    assert lines[-1] in ("SystemExit", "GeneratorExit")


def test_a_module_that_changes_the_folder_does_not_change_what_paths_mean() -> None:
    here = Path.cwd()
    Path("moves.py").write_text(
        'import os\nimport kapelle\n\nos.chdir("/")\n\n@kapelle.app\nclass Moves:\n    @kapelle.get("/")\n'
        "    async def root(self) -> int:\n        return 1\n"
    )
    assert load_app(Target("moves.py")).name == "Moves"
    assert Path.cwd() == here


def test_ctrl_c_during_an_import_is_ctrl_c() -> None:
    Path("long.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_app(Target("long.py"))


def test_shows_the_place_of_a_syntax_error() -> None:
    lines = failure("syntax.py", "def f(:\n").splitlines()
    assert lines[1:] == [f'  File "{Path.cwd() / "syntax.py"}", line 1', "    def f(:", "          ^", lines[-1]]
    assert lines[-1].startswith("SyntaxError")


def test_shows_a_module_that_is_missing() -> None:
    detail = failure("missing.py", "import a_module_that_is_nowhere\n")
    assert "in <module>\n    import a_module_that_is_nowhere\n" in detail
    assert detail.endswith("ModuleNotFoundError: No module named 'a_module_that_is_nowhere'")
    assert "kapelle/" not in detail


def test_names_the_line_of_a_wrong_declaration() -> None:
    code = "import kapelle\n\n@kapelle.service\nclass S:\n    @kapelle.method\n    def f(self, x): ...\n"
    assert failure("declared.py", code).startswith("declared.py:3: S.f: parameter 'x' has no annotation")


def test_names_the_line_of_a_wrong_option() -> None:
    code = "import kapelle\n\nclass S:\n    @kapelle.method(timeout='soon')\n    def f(self) -> int: ...\n"
    assert failure("option.py", code).startswith("option.py:4: timeout='soon': 'soon' is not a duration")


def test_leaves_what_concerns_no_line() -> None:
    assert failure("empty.py", "import kapelle\n").startswith("empty.py: expected one class with @kapelle.app")
