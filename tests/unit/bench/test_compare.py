from __future__ import annotations

from pathlib import Path

import pytest

from kapelle.bench.compare import compare, duration, measuring, stages_of
from kapelle.bench.figures import FILES, FUSED, HTTP, HTTPX, SHARED, TCP, UNIX
from kapelle.bench.own import Effort
from tests.unit.bench.pipeline import GOOD, subject


async def test_measures_every_way_at_every_size(tmp_path: Path) -> None:
    passed: list[float] = []
    effort = Effort(0.06, 2)
    found = await compare(subject(None), [1000, 100_000], effort, tmp_path, lambda _, took: passed.append(took))
    assert [block.size for block in found.blocks] == [1000, 100_000]
    for block in found.blocks:
        assert [line.way for line in block.lines] == [HTTPX, HTTP, FILES, TCP, UNIX, SHARED, FUSED]
        assert block.lookup > 0
        assert all(line.alone.requests >= 5 and line.loaded.requests >= 10 for line in block.lines)
    assert found.own is None
    assert (found.terms.app, found.terms.stages, found.terms.concurrency) == ("Pipeline", 1, 2)
    assert sum(passed) == pytest.approx(measuring(subject(None), [1000, 100_000], effort))


def test_inline_services_are_no_stages() -> None:
    assert len(subject(None).spec.services) == 2
    assert stages_of(subject(None)) == 1


def test_the_own_request_takes_its_time_too() -> None:
    effort = Effort(1.0, 8)
    assert duration(subject(GOOD), [1000], effort) > duration(subject(None), [1000], effort) > 2 * 6
