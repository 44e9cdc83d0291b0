"""Asks a running system, at the address in KAPELLE_URL: it names what a picture shows, and refuses what is none.

KAPELLE_URL=http://127.0.0.1:8080 python -m pytest apps/image_pipeline/tests
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apps.image_pipeline.app import Finding
from apps.image_pipeline.golden import sample_picture
from apps.image_pipeline.labels import NAMES
from kapelle.client import Client
from kapelle.errors import KapelleError


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of the system that is tested."""
    address = os.environ.get("KAPELLE_URL")
    if not address:
        pytest.skip("KAPELLE_URL names no running system to ask")
    with Client(address) as client:
        yield client


def test_it_is_ready(client: Client) -> None:
    assert client.ready()


def test_a_picture_is_named(client: Client) -> None:
    files = {"file": ("sample.png", sample_picture())}
    found = client.post("/finalize", files=files, query={"count": 10}, returns=Finding)
    assert found.label == NAMES[found.index] == found.top[0].label
    assert [guess.probability for guess in found.top] == sorted((one.probability for one in found.top), reverse=True)
    assert sum(guess.probability for guess in found.top) == pytest.approx(1, abs=0.01)


def test_the_same_picture_is_the_same_finding(client: Client) -> None:
    files = {"file": ("sample.png", sample_picture())}
    first, second = (client.post("/finalize", files=files, returns=Finding) for _ in range(2))
    assert first.index == second.index
    assert first.probability == pytest.approx(second.probability, abs=0.02)


def test_what_is_no_picture_is_not_named(client: Client) -> None:
    with pytest.raises(KapelleError):
        client.post("/finalize", files={"file": ("sample.png", b"no picture")}, returns=Finding)
