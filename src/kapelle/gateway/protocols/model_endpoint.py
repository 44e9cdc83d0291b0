"""What the endpoints of all protocols share: a model under one of its names, asked and counted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from kapelle.declare.apps import EndpointSpec
from kapelle.declare.parameters import Parameter, Signature
from kapelle.gateway.endpoint import Answer, Endpoint
from kapelle.gateway.protocols.inference import Inference, infer
from kapelle.gateway.protocols.models import Model
from kapelle.gateway.protocols.refusals import no_such_version, protocol_refusal
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.protocols.statistics import Statistics
from kapelle.gateway.request import Request
from kapelle.observe.metrics import Registry


@dataclass(frozen=True)
class Common:
    """What all of them have in common: the deadline of a request in seconds, and the bytes of its body at most."""

    timeout: float
    max_body: int
    registry: Registry
    statistics: Statistics
    regions: Regions


class ModelEndpoint(Endpoint):
    """A model under one of its names, by a ``protocol`` that is asked at ``path``."""

    def __init__(self, protocol: str, path: str, known_as: str, model: Model, common: Common) -> None:
        spec = protocol_spec(path, f"{protocol}:{known_as}")
        super().__init__(spec, common.timeout, common.registry, function=model.exposed.name)
        self.known_as = known_as
        self.model = model
        self.common = common

    def ask(self, function: Callable[..., Any], inference: Inference) -> Coroutine[Any, Any, Any]:
        """The inference, which is counted."""
        asking = infer(self.known_as, self.model, function, inference)
        return self.common.statistics.of(self.model, asking)

    def check_version(self, version: str, request: Request) -> None:
        """Versions of models are releases, and a request sees one of them.

        Raises:
            HttpError: another one was asked for.
        """
        release = release_of(request)
        if version and version != release:
            raise no_such_version(self.known_as, version, release)

    def refusal(self, error: BaseException, request_id: str) -> tuple[int, Answer]:
        return protocol_refusal(error, request_id)


def release_of(request: Request) -> str:
    """The one release that a request sees."""
    return request.edition.release if request.edition is not None else ""


def protocol_spec(path: str, name: str) -> EndpointSpec:
    """A route whose body is read by a protocol of its own."""
    signature = Signature((Parameter("body", bytes),), Any)
    return EndpointSpec("POST", path, name, protocol_spec, signature, streams=False, timeout=None, description="")
