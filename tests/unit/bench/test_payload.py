from __future__ import annotations

import pytest

from kapelle.bench.payload import payload, received


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_makes_as_many_bytes_as_are_asked_for_and_always_the_same(size: int) -> None:
    assert payload(size).nbytes == size
    assert bytes(payload(size)) == bytes(payload(size))
    assert not payload(size).flags.writeable


def test_the_sum_is_that_of_the_bytes_whatever_holds_them() -> None:
    data = payload(100_000)
    assert received(data) == received(bytes(data)) == sum(bytes(data)[::4096])


def test_the_sum_of_other_bytes_is_another_one() -> None:
    assert received(payload(100_000)) != received(payload(100_000)[::-1].copy())
