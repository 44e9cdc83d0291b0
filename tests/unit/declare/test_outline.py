"""What a controller knows of an app is what the app says, whoever imports it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.declare.loading import Target
from kapelle.declare.outline import ServiceOutline, outline, outline_of
from kapelle.errors import DeclarationError
from tests.docs.documents import forget_modules

APP = """
import kapelle

print("modules may print")

@kapelle.service(sharded_by="index", copies=4, in_turn=True, memory_limit="1GB")
class Cluster:
    @kapelle.method
    def size(self) -> int:
        return 1

@kapelle.app(artifact="book")
class Search:
    cluster: kapelle.Sharded[Cluster]

    @kapelle.get("/")
    async def root(self) -> int:
        return await self.cluster.shard(0).size()
"""


def test_it_is_the_same_from_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outlined.py").write_text(APP)
    found = outline_of(str(tmp_path / "outlined.py"))
    assert found == outline(Target(str(tmp_path / "outlined.py")).load())
    forget_modules(tmp_path)
    assert (found.name, found.artifact) == ("Search", "book")
    assert found.services == {"Cluster": ServiceOutline("Cluster", 4, "index", True, False, 10**9, True)}


NOISY = """
import io, os, sys
import kapelle

os.write(1, b"caf\\xe9")
os.write(2, b"caf\\xe9")
sys.stdout = io.StringIO()

@kapelle.app
class Café:
    @kapelle.get("/")
    async def root(self) -> int:
        return 1
"""


def test_modules_may_print_what_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    assert outline_of(str(tmp_path / "noisy.py")).name == "Café"


def test_modules_are_found_in_the_current_folder_too_but_stand_for_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "msgspec.py").write_text("raise SystemExit")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "noisy.py").write_text("import names\n" + NOISY, encoding="utf-8")
    (tmp_path / "names.py").write_text("")
    assert outline_of("shop/noisy.py").name == "Café"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"import os; os.write(2, b'caf\xe9\n'); os._exit(3)", "caf\N{REPLACEMENT CHARACTER}"),
        ("raise ValueError('no licence')", "ValueError: no licence"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("x = 1", "expected one class with @kapelle.app, found none"),
        ("import os; os._exit(3)", "the process ended with 3"),
    ],
)
def test_what_cannot_be_imported_is_said(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(DeclarationError, match=f"broken.py cannot be imported: .*{reason}"):
        outline_of(str(tmp_path / "broken.py"))


def test_an_import_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapelle.declare.outline._PATIENCE", 0.2)
    (tmp_path / "endless.py").write_text("import threading; threading.Event().wait()")
    with pytest.raises(DeclarationError, match=r"endless.py was not imported within 0\.2 s"):
        outline_of(str(tmp_path / "endless.py"))
