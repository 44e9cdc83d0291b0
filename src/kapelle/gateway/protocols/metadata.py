"""What a server says of itself and its models, in the words of the Open Inference Protocol and its extensions."""

from __future__ import annotations

from typing import Any

from kapelle.gateway.fleet import Fleet
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.models import Model, TensorSpec, by_name
from kapelle.gateway.protocols.refusals import no_such_version
from kapelle.gateway.protocols.statistics import Statistics, Tally
from kapelle.version import VERSION

EXTENSIONS = ["binary_tensor_data", "system_shared_memory", "model_repository", "model_configuration", "statistics"]
PLATFORM = "kapelle"
_ANY = "FP32"
"""What is said of a tensor that may be of any numbers: the protocol has no word for that."""


class Catalogue:
    """The models of a gateway. Their one version is the release that new requests see."""

    def __init__(self, models: list[Model], fleet: Fleet, statistics: Statistics) -> None:
        self.models = models
        self._by_name = by_name(models)
        self._fleet = fleet
        self._statistics = statistics

    @property
    def version(self) -> str:
        return self._fleet.release

    @property
    def ready(self) -> bool:
        """Whether every service can be called."""
        return self._fleet.ready

    def find(self, name: str, version: str = "") -> Model:
        """The model of a name.

        Raises:
            HttpError: there is none, or not in this version.
        """
        model = self._by_name.get(name)
        if model is None:
            known = ", ".join(one.name for one in self.models) or "none"
            raise HttpError(404, f"unknown model {name!r}; there is {known}", code="not-found")
        if version and version != self.version:
            raise no_such_version(name, version, self.version)
        return model

    def is_ready(self, name: str, version: str = "") -> bool:
        """Whether a model can be called.

        Raises:
            HttpError: as ``find``.
        """
        pool = self._fleet.pools.get(self.find(name, version).exposed.service.name)
        return pool is None or pool.ready(self._fleet.release)  # an inline service is ready with the gateway

    def server(self) -> dict[str, Any]:
        """The server's metadata."""
        return {"name": "kapelle", "version": VERSION, "extensions": EXTENSIONS}

    def metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """A model's metadata."""
        model = self.find(name, version)
        return {
            "name": name,
            "versions": [self.version],
            "platform": PLATFORM,
            "inputs": [_shown(one) for one in model.inputs],
            "outputs": [_shown(one) for one in model.outputs],
        }

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        """A model's configuration; there, the dimension of the rows is left out."""
        model = self.find(name, version)
        return {
            "name": name,
            "platform": PLATFORM,
            "backend": PLATFORM,
            "max_batch_size": model.max_batch,
            "input": [_configured(one, model.batched) | {"optional": not one.required} for one in model.inputs],
            "output": [_configured(one, model.batched) for one in model.outputs],
        }

    def statistics(self, name: str = "", version: str = "") -> dict[str, Any]:
        """How often one model was asked, or each."""
        models = [(name, self.find(name, version))] if name else [(one.name, one) for one in self.models]
        return {"model_stats": [_counted(shown, self.version, self._statistics.tally(one)) for shown, one in models]}

    def index(self, *, ready_only: bool = False) -> list[dict[str, Any]]:
        """The repository: every model, with its state."""
        found = []
        for model in self.models:
            ready = self.is_ready(model.name)
            if ready or not ready_only:
                reason = "" if ready else f"no replica of {model.exposed.service.name} is ready"
                state = "READY" if ready else "UNAVAILABLE"
                found.append({"name": model.name, "version": self.version, "state": state, "reason": reason})
        return found


def _shown(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype or _ANY, "shape": spec.extents}


def _configured(spec: TensorSpec, batched: bool) -> dict[str, Any]:
    datatype = "STRING" if spec.datatype == "BYTES" else spec.datatype or _ANY
    # Rows of plain values have no dimensions of their own, and some tensors none at all; the configuration wants one.
    return {
        "name": spec.name,
        "data_type": f"TYPE_{datatype}",
        "dims": spec.extents[int(batched) :] or [1],
    }


def _counted(name: str, version: str, tally: Tally) -> dict[str, Any]:
    succeeded = {"count": tally.successes, "ns": tally.success_ns}
    unknown = {"count": 0, "ns": 0}
    return {
        "name": name,
        "version": version,
        "last_inference": tally.last,
        "inference_count": tally.successes,
        "execution_count": tally.successes,
        "inference_stats": {
            "success": succeeded,
            "fail": {"count": tally.failures, "ns": tally.failure_ns},
            # The parts of it are measured where they happen, in the replicas: /metrics has them.
            "queue": unknown,
            "compute_input": unknown,
            "compute_infer": succeeded,
            "compute_output": unknown,
        },
        "batch_stats": [],
    }
