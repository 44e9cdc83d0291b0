from __future__ import annotations

import pytest

from kapelle.client.asking import Answer, Options


@pytest.mark.parametrize(
    ("status", "ok"), [(199, False), (200, True), (204, True), (299, True), (300, False), (404, False)]
)
def test_what_is_fine(status: int, ok: bool) -> None:
    assert Answer(status, {}, b"").ok is ok


@pytest.mark.parametrize(
    ("header", "found"), [("Application/JSON; charset=utf-8", "application/json"), ("text/plain", "text/plain")]
)
def test_the_type_of_content(header: str, found: str) -> None:
    assert Answer(200, {"content-type": header}, b"").content_type == found
    assert Answer(200, {}, b"").content_type == ""


def test_calls_may_run_twice_unless_told_otherwise() -> None:
    assert Options() == Options(timeout=None, headers={}, idempotent=True)
