"""The image to compare with has the same in it, in one stage."""

from __future__ import annotations

from kapelle.deploy.naive import naive_context, plan_naive
from tests.unit.deploy.sample_app import SampleApp


def test_the_same_files_in_one_stage(sample: SampleApp) -> None:
    sample.with_all()
    images = sample.plan()
    naive = plan_naive(images)
    assert naive.reference.startswith("small-search-naive:")
    text = (naive_context(images) / naive.dockerfile).read_text()
    assert text.count("FROM ") == 1
    assert text.index("COPY . .") < text.index("pip install -r requirements/kapelle.txt")
    assert "pip install --no-deps -r requirements/requirements-build-nodeps.txt && pip install wheels/kapelle-" in text
    there = {path.relative_to(naive_context(images)).as_posix() for path in naive_context(images).rglob("*.py")}
    assert {"shop/search/app.py", "shop/search/build.py", "shop/search/tests/test_served.py", "shop/parts.py"} <= there
    assert plan_naive(images) == naive
