"""The classifier: normalised pictures to the probabilities of their labels, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from apps.image_pipeline.errors import ModelError
from apps.image_pipeline.images import SIDE
from apps.image_pipeline.labels import FILE, read_labels

MODEL = "model.onnx"
# ONNX Runtime's errors have no base of their own.
_MODEL_ERRORS = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
)


class Classifier:
    """A model and what its outputs mean."""

    def __init__(self, artifact: Path, *, threads: int = 1) -> None:
        """Load ``artifact/model.onnx`` and ``artifact/labels.json``; each call may use ``threads`` cores.

        Raises:
            ModelError: a file is missing, cannot be read, or the model is not one of pictures to these labels.
        """
        self.labels = read_labels(artifact)
        options = SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads sleep: spinning ones would take the cores from the machine's other replicas.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = artifact / MODEL
        try:
            self._session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _MODEL_ERRORS as error:
            raise ModelError(f"{path}: not a model that ONNX Runtime can run ({error})") from error
        (taken,), (given,) = self._session.get_inputs(), self._session.get_outputs()
        if list(taken.shape[1:]) != [3, SIDE, SIDE] or list(given.shape[1:]) != [len(self.labels)]:
            raise ModelError(
                f"{path}: takes {taken.shape} and gives {given.shape}; expected n x 3 x {SIDE} x {SIDE} and "
                f"n x {len(self.labels)}, one for each of {FILE}"
            )
        self._input: str = taken.name

    def probabilities(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """n x labels, of n x 3 x 32 x 32. Threads may share a classifier."""
        (found,) = self._session.run(None, {self._input: pictures})
        return np.asarray(found, np.float32)
