"""What tests of artifacts share: a bucket of S3."""

from __future__ import annotations

from tests.unit.artifacts.bucket import bucket, server

__all__ = ["bucket", "server"]
