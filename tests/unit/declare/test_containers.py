"""What a service's containers get is checked where it is declared."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kapelle.declare.containers import check_container
from kapelle.errors import DeclarationError


def test_what_engines_can_give() -> None:
    check_container(None, None, 0, {}, inline=True)
    check_container(
        "requirements-encoder.txt", 0.5, 2, {"disk": "ssd", "example.org/zone": "a-1", "empty": ""}, inline=False
    )


@pytest.mark.parametrize(
    ("requirements", "cpus", "gpus", "placement", "said"),
    [
        ("other/requirements.txt", None, 0, {}, "expected the name of a file beside the app's"),
        ("needs.txt", None, 0, {}, "expected the name of a file"),
        (None, 0, 0, {}, r"cpus=0: expected a number of cores above 0"),
        (None, float("nan"), 0, {}, r"cpus=nan: expected a number of cores above 0"),
        (None, float("inf"), 0, {}, r"cpus=inf: expected a number of cores above 0"),
        (None, None, -1, {}, r"gpus=-1: expected at least 0"),
        (None, None, 0, {"disk type": "ssd"}, r"placement=\{'disk type': 'ssd'\}: expected a label"),
        (None, None, 0, {"disk": "s" * 64}, "63 at most"),
    ],
)
def test_what_they_cannot(
    requirements: str | None, cpus: float | None, gpus: int, placement: Mapping[str, str], said: str
) -> None:
    with pytest.raises(DeclarationError, match=said):
        check_container(requirements, cpus, gpus, placement, inline=False)


def test_an_inline_service_has_no_container() -> None:
    with pytest.raises(DeclarationError, match="an inline service has no container of its own"):
        check_container(None, 1.0, 0, {}, inline=True)
