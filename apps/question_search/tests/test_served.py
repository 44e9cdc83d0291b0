"""Asks a running system, at the address in KAPELLE_URL: it finds what its corpus has, and refuses what it should.

KAPELLE_URL=http://127.0.0.1:8080 python -m pytest apps/question_search/tests
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apps.question_search.app import Answer
from kapelle.client import Client
from kapelle.errors import InvalidInput

KNOWN = "How do you tell a five-year-old that the dog has died?"
SAME = 0.99


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


def test_a_question_of_the_corpus_finds_itself(client: Client) -> None:
    answer = client.post("/process", {"instances": [KNOWN]}, returns=Answer)
    assert answer.match == KNOWN
    assert answer.matches[0].score >= SAME


def test_questions_are_answered_in_their_order(client: Client) -> None:
    asked = [KNOWN, "My dog died, what do I say to my child?"]
    answer = client.post("/process", {"instances": asked, "count": 3, "probes": 8}, returns=Answer)
    assert [match.instance for match in answer.matches] == [0, 0, 0, 1, 1, 1]
    assert KNOWN in [match.question for match in answer.matches if match.instance == 1]


def test_no_question_is_refused(client: Client) -> None:
    with pytest.raises(InvalidInput) as refused:
        client.post("/process", {"instances": []}, returns=Answer)
    assert "instances" in refused.value.path
