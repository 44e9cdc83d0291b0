from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Encoding

from apps.question_search.encoder import MAX_CHARACTERS, MODEL, TOKENIZER, TOKENS_PER_RUN, Encoder, _runs
from apps.question_search.errors import ModelError


def test_embeddings_are_unit_vectors_in_the_order_of_the_sentences(int8_encoder: Encoder, sentences: list[str]) -> None:
    vectors = int8_encoder.embed(sentences)
    assert vectors.shape == (100, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(int8_encoder.embed(sentences[::-1]), vectors[::-1], atol=1e-3)


def test_meaning_counts_more_than_words(int8_encoder: Encoder) -> None:
    asked, same, other = int8_encoder.embed(
        ["How do I boil an egg?", "What is the way to cook eggs in hot water?", "How do I oil a leg of a table?"]
    )
    assert asked @ same > 0.6 > asked @ other


def test_neighbours_do_not_matter(int8_encoder: Encoder, sentences: list[str]) -> None:
    together = int8_encoder.embed(sentences)
    alone = np.concatenate([int8_encoder.embed([sentence]) for sentence in sentences])
    beside_a_long_one = int8_encoder.embed([sentences[0], "word " * 200])[0]
    assert (together * alone).sum(axis=1).min() > 0.99999
    assert beside_a_long_one @ alone[0] > 0.99999


def test_a_second_call_gives_the_same_bytes(int8_encoder: Encoder, sentences: list[str]) -> None:
    assert int8_encoder.embed(sentences).tobytes() == int8_encoder.embed(sentences).tobytes()


def test_threads_do_not_change_the_result(int8_folder: Path, int8_encoder: Encoder, sentences: list[str]) -> None:
    cosines = (Encoder(int8_folder, threads=2).embed(sentences) * int8_encoder.embed(sentences)).sum(axis=1)
    assert cosines.min() > 0.99999


def test_what_follows_128_tokens_is_ignored(int8_encoder: Encoder) -> None:
    begin = "why " * 126  # and two marks, for begin and end
    short, long, huge = int8_encoder.embed([begin, begin + "not?", begin + "x" * 10_000])
    assert (short == long).all()
    assert (short == huge).all()


def test_what_cannot_count_is_not_even_cut_into_tokens(int8_encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    class Spy:
        def encode(self, sentence: str) -> Encoding:
            lengths.append(len(sentence))
            return tokenizer.encode(sentence)

    tokenizer = int8_encoder._tokenizer
    monkeypatch.setattr(int8_encoder, "_tokenizer", Spy())
    begin = f"{'w' * 100} " * 126  # words as long as one may be, and as many as count
    short, long = int8_encoder.embed([begin, begin + "a " * 1_000_000])
    assert max(lengths) == MAX_CHARACTERS
    assert (short == long).all()


def test_odd_input(int8_encoder: Encoder) -> None:
    assert int8_encoder.embed([]).shape == (0, 384)
    vectors = int8_encoder.embed(["", " ", "\0", "東京はどこですか", "🙂" * 300])
    assert np.isfinite(vectors).all()
    assert (vectors[0] == vectors[1]).all()


@given(st.lists(st.integers(2, 128)))
def test_runs_hold_each_row_once_and_stay_within_their_size(lengths: list[int]) -> None:
    runs = list(_runs(lengths))
    assert sorted(row for run in runs for row in run) == list(range(len(lengths)))
    for run in runs:
        assert len(run) == 1 or len(run) * max(lengths[row] for row in run) <= TOKENS_PER_RUN


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_missing_file_says_how_to_build_it(name: str, int8_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(int8_folder, tmp_path / "encoder")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: no such file; build it with: python -m"):
        Encoder(folder)


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
@pytest.mark.parametrize("size", [0, 1000, 400_000])
def test_a_damaged_file_is_named(name: str, size: int, int8_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(int8_folder, tmp_path / "encoder")
    (folder / name).write_bytes((folder / name).read_bytes()[:size])
    with pytest.raises(ModelError, match=rf"{name}: not a "):
        Encoder(folder)
