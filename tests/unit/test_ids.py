"""Names are unique, and what clients send is taken over only where it is harmless."""

from __future__ import annotations

import re

import pytest

from kapelle.ids import is_safe_request_id, is_traceparent, random_id, request_ids

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize("length", [1, 7, 12, 32])
def test_a_random_id_has_as_many_hexadecimal_digits_as_asked_for(length: int) -> None:
    assert re.fullmatch(rf"[0-9a-f]{{{length}}}", random_id(length))


def test_random_ids_differ() -> None:
    assert len({random_id() for _ in range(1000)}) == 1000


def test_request_ids_are_unique_and_name_their_process() -> None:
    here, elsewhere = request_ids(), request_ids()
    mine = [here() for _ in range(300)]
    assert mine[0].endswith("-1")
    assert mine[-1].endswith("-12c")
    assert len({*mine, *(elsewhere() for _ in range(300))}) == 600
    assert len({name.partition("-")[0] for name in mine}) == 1
    assert all(map(is_safe_request_id, mine))


@pytest.mark.parametrize(
    "value", ["a", "5f1c-2a", "A" * 128, "0190b6b5-7c1e-7cc4-9d5f-2a6c1f0f7a11", "a.b_c:d/e+f=g@h"]
)
def test_harmless_request_ids(value: str) -> None:
    assert is_safe_request_id(value)


@pytest.mark.parametrize(
    "value", ["", "A" * 129, "a b", "a\n", "a\r\nset-cookie: x", "ä", "a;b", '"', "<script>", "a\x00", "\u0661"]
)
def test_request_ids_that_could_do_harm(value: str) -> None:
    assert not is_safe_request_id(value)


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_valid_trace_contexts(flags: str) -> None:
    assert is_traceparent(f"00-{TRACE}-{PARENT}-{flags}")


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-0",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f" 00-{TRACE}-{PARENT}-01",
    ],
)
def test_invalid_trace_contexts(value: str) -> None:
    assert not is_traceparent(value)
