"""Whether gRPC can be spoken here: it needs libraries that not everybody has."""

from __future__ import annotations

from importlib.util import find_spec


def grpc_is_installed() -> bool:
    """Whether grpcio and protobuf are."""
    # A name with a dot can only be looked for where the part before the dot is there.
    return all(find_spec(name) is not None for name in ("grpc", "google")) and find_spec("google.protobuf") is not None
