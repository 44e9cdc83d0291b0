from __future__ import annotations

import subprocess
import sys

import pytest

import kapelle.client
from tests.house.sources import report
from tests.house.test_public_names import undocumented


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("httpx", "kapelle.client needs the library httpx: pip install 'kapelle[client]'"),
        ("numpy", "import of numpy halted"),
    ],
)
def test_what_is_missing_is_said_with_the_next_step(missing: str, told: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import kapelle.client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told in done.stderr.splitlines()[-1]


def test_grpc_is_imported_by_who_uses_it() -> None:
    code = "import sys, kapelle.client; print(*(name for name in ('grpc', 'google.protobuf') if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_public_names_have_docstrings() -> None:
    report(undocumented(kapelle.client), mend="write a docstring")
