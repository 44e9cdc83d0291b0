"""The servers under test, in the order of the tables."""

from __future__ import annotations

from collections.abc import Sequence

from targets.base import Target
from targets.bentoml import BentoMl
from targets.fastapi import FastApi, FastApiChain, FastApiTwoServices
from targets.granian import GranianEcho
from targets.kapelle import Kapelle
from targets.litserve import LitServe
from targets.mlserver import MlServer
from targets.mosec import Mosec, MosecStages
from targets.pytriton import PyTriton
from targets.ray_serve import RayServe
from targets.search import KapelleSearch, PlainSearch

TARGETS: Sequence[Target] = (
    Kapelle(),
    GranianEcho(),
    Mosec(plain=False),
    Mosec(plain=True),
    MosecStages(),
    FastApi(),
    FastApiTwoServices(),
    FastApiChain(shared=False),
    FastApiChain(shared=True),
    LitServe(),
    BentoMl(),
    RayServe(),
    PyTriton(),
    MlServer(),
    KapelleSearch(),
    PlainSearch("fp32"),
    PlainSearch("int8"),
    PlainSearch("int8", tuned=True),
)
