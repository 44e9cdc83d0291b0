"""Systems in containers for tests: the two apps, with images whose names do not change with their code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kapelle
from kapelle.config.engine import container_name
from kapelle.config.settings import Settings
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.declare.loading import Target
from kapelle.deploy.certificates import SETTINGS, Certificates
from kapelle.deploy.images import Image, Images
from kapelle.deploy.topology import Topology, topology
from tests.house.sources import ROOT

APPS = ("question_search", "image_pipeline")
TAG = "0123456789ab"


@kapelle.service(replicas=3, cpus=1.5, memory_limit="1GiB", gpus=1, placement={"disk": "ssd"})
class BigModel:
    """A service that asks for all that a container may get."""

    @kapelle.method
    def run(self, number: int) -> int:
        return number


@kapelle.app
class Demanding:
    """An app of it."""

    big: BigModel

    @kapelle.post("/run")
    async def run(self, number: int) -> int:
        return await self.big.run(number)


def images_of(app: AppSpec, place: str, context: Path) -> Images:
    """Images with the names that an app's would have, but for their tags."""
    name = container_name(app.name)

    def image(suffix: str, stage: str) -> Image:
        return Image(f"{name}{suffix}:{TAG}", "Dockerfile", stage)

    main = image("", "gateway")
    return Images(
        context=context, services=dict.fromkeys(app.services, main), gateway=main, door=image("-door", "door"),
        release=image("-release", "release"), tests=image("-tests", "tests"), place=place, grpc=True,
    )  # fmt: skip


def secured(system: Topology) -> Topology:
    """The same containers, which speak TLS with each other."""
    return replace(system, certificates=Certificates({name: Path(f"{name}.pem") for name in SETTINGS}, "c0ffee"))


def system_of(
    app: str, context: Path = Path("context"), scale: Mapping[str, int] | None = None, **settings: Any
) -> Topology:
    """The containers of one of the repository's apps."""
    spec = Target(str(ROOT / "apps" / app)).load()
    images = images_of(spec, f"apps/{app}", context)
    return topology(spec, images, Settings(**settings), scale=scale, gateways=settings.get("gateways", 1))


def demanding(**settings: Any) -> Topology:
    """The containers of the app whose service asks for everything."""
    spec = app_spec(Demanding)
    assert spec is not None
    return topology(spec, images_of(spec, "demanding.py", Path("context")), Settings(**settings))
