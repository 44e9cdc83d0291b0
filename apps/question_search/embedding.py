"""A whole corpus to vectors, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from apps.question_search.encoder import Encoder
from apps.question_search.kmeans import Vectors
from apps.question_search.progress import Advance

CHUNK = 128  # questions a thread takes at once


def embed(encoder: Encoder, questions: Sequence[str], threads: int, advance: Advance) -> Vectors:
    """One unit vector per question (n x dimension); ``advance`` hears how many more are done.

    The threads share one single-threaded encoder, which releases the interpreter's lock while it computes: on two cores
    that is 1.9 times as fast as one thread, against 1.6 for one encoder with two threads of its own.
    """
    chunks = [questions[start : start + CHUNK] for start in range(0, len(questions), CHUNK)]
    pool = ThreadPoolExecutor(threads)
    try:
        vectors = []
        for chunk in pool.map(encoder.embed, chunks):
            vectors.append(chunk)
            advance(len(chunk))
        return np.concatenate(vectors)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C nothing more is begun
