"""Tests in this folder meet every kind of store: a folder, and a bucket of S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.artifacts.bucket import Bucket, bucket, server

__all__ = ["bucket", "server"]


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path) -> str:
    """Of a store that is empty."""
    return bucket.new_url() if request.param == "s3" else str(tmp_path / "store")


@pytest.fixture(params=["folder", "s3"])
def unreachable(request: pytest.FixtureRequest, bucket: Bucket, tmp_path: Path) -> str:
    """The address of a store that nobody can reach."""
    if request.param == "s3":
        return "s3://shop/apps?endpoint=http://127.0.0.1:1"
    (tmp_path / "file").write_text("no folder")
    return str(tmp_path / "file" / "store")
