"""The methods of services as others see them from outside: what each is called, and as a function that a request calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kapelle.declare.apps import AppSpec, Sharded
from kapelle.declare.methods import MethodSpec
from kapelle.declare.services import ServiceSpec
from kapelle.errors import InvalidInput

ANY = "any.method"
"""The name of a function that gives the function of any method by its name."""


@dataclass(frozen=True)
class Exposed:
    """A method of a service, and the attribute of the app that holds the service's handle."""

    service: ServiceSpec
    method: MethodSpec
    attribute: str

    @property
    def name(self) -> str:
        return f"{self.service.name}.{self.method.name}"

    def function(self, app: Any) -> Callable[..., Any]:
        """What calls it through the handle of an app's instance. That of a sharded service takes ``shard`` as well.

        A batched method takes its rows and gives their results, as it was written.
        """
        handle = getattr(app, self.attribute)
        return partial(self._in_shard, handle) if self.service.sharded else self._bound(handle)

    def _in_shard(self, shards: Sharded[Any], *args: Any, shard: int, **kwargs: Any) -> Any:
        if not 0 <= shard < len(shards):
            raise InvalidInput(
                f"{self.service.name} has shards 0 to {len(shards) - 1}, got {shard}", path="query.shard"
            )
        return self._bound(shards.shard(shard))(*args, **kwargs)

    def _bound(self, handle: Any) -> Callable[..., Any]:
        found = getattr(handle, self.method.name)
        return found.many if self.method.kind == "batched" else found  # type: ignore[no-any-return]  # users' methods


def exposed_methods(spec: AppSpec) -> list[Exposed]:
    """Every method of every service of an app, in the order of their declaration."""
    services = {handle.service.name: handle for handle in spec.handles}
    return [
        Exposed(handle.service, method, handle.attribute)
        for handle in services.values()
        for method in handle.service.methods.values()
    ]
