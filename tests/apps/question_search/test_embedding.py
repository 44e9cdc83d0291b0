from __future__ import annotations

import numpy as np
import pytest

from apps.question_search.embedding import embed
from apps.question_search.encoder import Encoder


@pytest.mark.parametrize("threads", [1, 3])
def test_a_corpus_is_embedded_in_its_order(threads: int, int8_encoder: Encoder, sentences: list[str]) -> None:
    questions = [*sentences, *sentences[:50]]
    heard: list[int] = []
    vectors = embed(int8_encoder, questions, threads, heard.append)
    assert heard == [128, 22]
    assert (vectors[:22] * int8_encoder.embed(questions[:22])).sum(axis=1).min() > 0.99999
    assert (vectors[128:] * vectors[28:50]).sum(axis=1).min() > 0.99999
    assert vectors.dtype == np.float32


def test_after_an_error_nothing_more_is_begun(int8_encoder: Encoder, sentences: list[str]) -> None:
    class Interrupt(BaseException):
        pass

    def advance(count: int) -> None:
        heard.append(count)
        raise Interrupt

    heard: list[int] = []
    with pytest.raises(Interrupt):
        embed(int8_encoder, sentences * 1000, 1, advance)  # a minute or two, if it went on
    assert heard == [128]
