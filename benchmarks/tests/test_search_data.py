"""Queries are titles that lost a word, and the exact answer is the nearest row."""

from __future__ import annotations

import numpy as np
import pytest

from search_data import exact, reword


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("How do I sort a list in Python", "How do I a list in"),
        ("one two three four", "one two three"),
        ("What is recursion", "What is"),
        ("Recursion", "Recursion"),
    ],
)
def test_a_query_is_a_title_with_words_left_out(title: str, query: str) -> None:
    assert reword(title) == query


def test_the_exact_answer_is_the_nearest_row() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert exact(vectors[[2, 0]] + 0.1, vectors) == [2, 0]
