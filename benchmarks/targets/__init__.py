"""The servers under test, in the order of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from targets.base import Target
from targets.bentoml import BentoMl
from targets.fastapi import FastApi, FastApiTwoServices
from targets.granian import GranianEcho
from targets.kapelle import Kapelle
from targets.litserve import LitServe
from targets.mlserver import MlServer
from targets.mosec import Mosec
from targets.ray_serve import RayServe
from targets.search import KapelleSearch, PlainSearch

TARGETS: Sequence[Target] = (
    Kapelle(),
    GranianEcho(),
    Mosec(plain=False),
    Mosec(plain=True),
    FastApi(),
    FastApiTwoServices(),
    LitServe(),
    BentoMl(),
    RayServe(),
    MlServer(),
    KapelleSearch(),
    PlainSearch("fp32"),
    PlainSearch("int8"),
    PlainSearch("int8", tuned=True),
)
