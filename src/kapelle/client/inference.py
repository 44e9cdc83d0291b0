"""The Open Inference Protocol in the two ways that a gateway speaks it. gRPC needs libraries that not everybody has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from kapelle.client import infer_rest
from kapelle.client.asking import Ask, Options
from kapelle.client.models import ModelMetadata, ModelState
from kapelle.client.terms import Terms
from kapelle.errors import ConfigError
from kapelle.oip.libraries import grpc_is_installed
from kapelle.types.arrays import Array

Way = Literal["http", "grpc"]


class Speech(Protocol):
    """What can be asked for, whichever way."""

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Any],
        options: Options,
    ) -> Ask[dict[str, Array]]:
        """One inference."""
        ...

    def models(self, options: Options) -> Ask[list[ModelState]]:
        """The models that there are."""
        ...

    def metadata(self, model: str, options: Options) -> Ask[ModelMetadata]:
        """What one model takes and gives."""
        ...

    def live(self, options: Options) -> Ask[bool]:
        """Whether the gateway answers."""
        ...

    def ready(self, options: Options) -> Ask[bool]:
        """Whether everything can be called."""
        ...


def speech(terms: Terms, protocol: Way | None = None) -> Speech:
    """How to ask by ``protocol``, or by that of the client's own address.

    Raises:
        ConfigError: what it needs is not installed, or there is no such protocol.
    """
    chosen = protocol or ("http" if terms.base else "grpc")
    if chosen == "http":
        return infer_rest
    if chosen != "grpc":
        raise ConfigError(f"there is no protocol {chosen!r}; expected http or grpc")
    if not grpc_is_installed():
        raise ConfigError("gRPC needs the libraries grpcio and protobuf: pip install 'kapelle[grpc]'")
    from kapelle.client import infer_grpc  # noqa: PLC0415 - it needs what may not be installed

    return infer_grpc


def parameters(shard: int | None) -> dict[str, Any]:
    """What goes with the tensors of an inference."""
    return {} if shard is None else {"shard": shard}
