"""Importing the package costs what declaring costs; what needs more comes when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kapelle
from kapelle.inprocess.mount import asgi


def test_declaring_imports_no_gateway() -> None:
    program = "import sys, kapelle; print(*sys.modules); kapelle.asgi; print(*sys.modules)"
    before, after = (
        {name.split(".")[1] for name in line.split() if name.startswith("kapelle.")}
        for line in subprocess.check_output([sys.executable, "-c", program], text=True).splitlines()
    )
    assert before == {"clock", "declare", "errors", "types", "version"}
    assert {"gateway", "worker", "inprocess"} <= after


def test_names_that_come_late_are_the_real_ones() -> None:
    assert kapelle.asgi is asgi
    assert "asgi" in kapelle.__all__


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="module 'kapelle' has no attribute 'no_such_name'"):
        _ = kapelle.no_such_name
