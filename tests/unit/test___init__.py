"""Importing the package costs next to nothing; what is in it comes when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kapelle
from kapelle.declare.services import service
from kapelle.gateway.problems import STATUS
from kapelle.inprocess.mount import asgi


def rooms_after(program: str) -> set[str]:
    """The parts of the package that a program has imported, and what of the libraries costs time."""
    program += "; import sys; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    ours = {name.split(".")[1] for name in modules if name.startswith("kapelle.")}
    return ours | ({"asyncio", "msgspec", "numpy"} & set(modules))


def test_the_package_alone_imports_nothing() -> None:
    assert rooms_after("import kapelle") == {"version"}


def test_declaring_imports_no_gateway() -> None:
    declaring = rooms_after("import kapelle; kapelle.app, kapelle.service")
    assert declaring >= {"declare", "errors", "types"}
    assert not declaring & {"gateway", "worker", "inprocess", "transport"}
    assert rooms_after("import kapelle; kapelle.asgi") >= {"gateway", "worker", "inprocess"}


def test_names_that_come_late_are_the_real_ones() -> None:
    assert kapelle.asgi is asgi
    assert kapelle.service is service


def test_every_public_name_is_there_and_listed() -> None:
    listed = dir(kapelle)
    for name in kapelle.__all__:
        assert getattr(kapelle, name) is not None
        assert name in listed


def test_every_error_that_a_call_may_end_with_is_public() -> None:
    for kind in STATUS:
        assert getattr(kapelle, kind.__name__) is kind
        assert kind.__name__ in kapelle.__all__


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="module 'kapelle' has no attribute 'no_such_name'"):
        _ = kapelle.no_such_name  # type: ignore[attr-defined]  # that is the point
