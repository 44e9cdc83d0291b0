"""Clients of a gateway, typed: ``Client`` for threads and ``AsyncClient`` for asyncio, with the same calls."""

from kapelle.client.asking import CallOptions
from kapelle.client.models import ModelMetadata, ModelState, TensorMetadata

try:
    from kapelle.client.asynchronous import AsyncClient
    from kapelle.client.sync import Client
except ModuleNotFoundError as missing:
    if missing.name != "httpx":
        raise
    raise ModuleNotFoundError(
        "kapelle.client needs the library httpx: pip install 'kapelle[client]'", name="httpx"
    ) from None

__all__ = ["AsyncClient", "CallOptions", "Client", "ModelMetadata", "ModelState", "TensorMetadata"]
