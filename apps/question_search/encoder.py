"""Sentences to unit vectors: the tokenizer and the ONNX model of one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from tokenizers import Tokenizer

from apps.question_search.errors import ModelError

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
# ONNX Runtime's errors have no base of their own.
MODEL_ERRORS = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
)
REBUILD = "build it with: python -m apps.question_search.build"

MAX_TOKENS = 128  # what the model was trained for; the rest of a longer sentence is ignored

# What is behind these is not looked at, not even to be ignored: the tokenizer would first cut all of it into tokens, and
# while it does, no other thread of the process runs. With 4 MB of text that took so long that the replica counted as dead.
# A token stands for up to 100 characters: nothing is lost of a sentence whose words are no longer, with one space between.
MAX_CHARACTERS = MAX_TOKENS * 101

# Tokens of one run of the model, padding included. Its activations then stay in a core's cache: one run over 64
# questions took twice as long as several runs of this size, which also pad less.
TOKENS_PER_RUN = 128


class Encoder:
    """A sentence's embedding depends on that sentence alone: on no neighbour, no order, no number of threads.

    (To within float32's rounding: padding to another length may change the order of sums.)
    """

    def __init__(self, artifact: Path, *, threads: int = 1) -> None:
        """Load ``artifact/model.onnx`` and ``artifact/tokenizer.json``; each call may use ``threads`` cores.

        Raises:
            ModelError: a file is missing or cannot be read.
        """
        self._tokenizer = _load_tokenizer(artifact / TOKENIZER)
        self._session = _load_model(artifact / MODEL, threads)
        self.dimension: int = self._session.get_outputs()[0].shape[1]

    def embed(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector per sentence, in their order: n x dimension. Threads may share an encoder."""
        # Not encode_batch: it starts a thread per core in every replica, to save 10 of 20 µs a sentence.
        tokens = [self._tokenizer.encode(sentence[:MAX_CHARACTERS]).ids for sentence in sentences]
        vectors = np.empty((len(tokens), self.dimension), np.float32)
        for rows in _runs([len(ids) for ids in tokens]):
            vectors[rows] = self._run([tokens[row] for row in rows])
        return vectors

    def _run(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(ids) for ids in tokens])
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded = np.zeros(mask.shape, np.int64)
        padded[mask] = np.concatenate(tokens)
        feed = {"input_ids": padded, "attention_mask": mask.astype(np.int64)}
        (vectors,) = self._session.run(["sentence_embedding"], feed)
        return np.asarray(vectors, np.float32)


def _runs(lengths: list[int]) -> Iterator[list[int]]:
    """Cut the rows into runs of similar length, each of ``TOKENS_PER_RUN`` or of a single row."""
    run: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if run and (len(run) + 1) * lengths[row] > TOKENS_PER_RUN:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _load_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(_existing(path).read_bytes())
    except ValueError as error:
        raise ModelError(f"{path}: not a tokenizer ({error}); {REBUILD} --force") from error
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()  # the file asks for 128 tokens each; we pad each run
    return tokenizer


def _load_model(path: Path, threads: int) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads sleep: spinning ones would take the cores from the machine's other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return InferenceSession(str(_existing(path)), options, providers=["CPUExecutionProvider"])
    except MODEL_ERRORS as error:
        raise ModelError(f"{path}: not a model that ONNX Runtime can run ({error}); {REBUILD} --force") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; {REBUILD}")
    return path
