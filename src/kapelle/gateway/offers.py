"""What a gateway offers of the app's services beside the app: their methods, as they are and by the field's protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.routing import Route

from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec, EndpointSpec
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.exposure import exposed_methods
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.methods import method_endpoints
from kapelle.gateway.protocols.embeddings import EmbeddingsEndpoint, encoders
from kapelle.gateway.protocols.infer_rest import InferEndpoint
from kapelle.gateway.protocols.metadata import Catalogue
from kapelle.gateway.protocols.model_endpoint import Common
from kapelle.gateway.protocols.models import Model, by_name, models_of
from kapelle.gateway.protocols.predict import PredictEndpoint
from kapelle.gateway.protocols.regions import Regions
from kapelle.gateway.protocols.routes import InferenceRoutes
from kapelle.gateway.protocols.statistics import Statistics
from kapelle.gateway.services import ServiceRoutes
from kapelle.observe.metrics import Registry

if TYPE_CHECKING:
    from kapelle.gateway.protocols.infer_grpc import GrpcInferEndpoint


class Offers:
    """The endpoints and routes of all services."""

    def __init__(
        self, spec: AppSpec, fleet: Fleet, settings: Settings, registry: Registry, regions: Regions, *, grpc: bool
    ) -> None:
        exposed = exposed_methods(spec)
        models = models_of(exposed)
        names = by_name(models)
        common = Common(settings.request_timeout, settings.max_body, registry, Statistics(), regions)
        self.catalogue = Catalogue(models, fleet, common.statistics)
        self.regions = regions
        methods = method_endpoints(exposed, common.timeout, registry)
        self.described: tuple[EndpointSpec, ...] = tuple(one.spec for one in methods)
        """The methods, as OpenAPI shows them."""
        self.grpc_endpoints: dict[str, GrpcInferEndpoint] = _grpc_endpoints(names, common) if grpc else {}
        """The models by name, as gRPC asks them."""
        self.endpoints: list[Endpoint] = [
            *methods,
            *(kind(name, model, common) for name, model in names.items() for kind in (InferEndpoint, PredictEndpoint)),
            *self.grpc_endpoints.values(),
        ]
        if found := encoders(models):
            self.endpoints.append(EmbeddingsEndpoint(found, common.timeout, registry, common.max_body))
        served = {one.spec.name for one in methods}
        self._exposed = [one for one in exposed if one.name in served]
        self._spec = spec
        self._fleet = fleet

    def routes(self, draining: Callable[[], bool]) -> list[Route]:
        """What is answered without a call to a service."""
        return [
            *ServiceRoutes(self._spec, self._exposed, self._fleet, draining).routes(),
            *InferenceRoutes(self.catalogue, self.regions, draining).routes(),
        ]


def _grpc_endpoints(names: dict[str, Model], common: Common) -> dict[str, GrpcInferEndpoint]:
    from kapelle.gateway.protocols.infer_grpc import GrpcInferEndpoint  # noqa: PLC0415 - it needs what may not be installed

    return {name: GrpcInferEndpoint(name, model, common) for name, model in names.items()}
