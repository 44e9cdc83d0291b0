"""What a server says of itself and its models."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, NoReturn

import pytest

import kapelle
from kapelle.declare.apps import AppSpec, app_spec
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.metadata import Catalogue
from kapelle.gateway.protocols.models import models_of
from kapelle.gateway.protocols.statistics import Statistics
from kapelle.observe.metrics import Registry
from kapelle.version import VERSION
from tests.unit.gateway.protocols.zoo import Cages, Vector, Zoo, exposed


def nobody(address: str) -> Awaitable[NoReturn]:
    raise AssertionError(f"{address} was dialled")


def catalogue(app: type = Zoo) -> Catalogue:
    spec = app_spec(app)
    assert isinstance(spec, AppSpec)
    fleet = Fleet(spec, "gateway", nobody, Registry())
    fleet.open("r7", {"Cage": 2})
    fleet.route("r7")
    return Catalogue(models_of(exposed(app)), fleet, Statistics())


async def test_the_server() -> None:
    about = catalogue().server()
    assert (about["name"], about["version"]) == ("kapelle", VERSION)
    assert {"binary_tensor_data", "system_shared_memory", "model_repository"} <= set(about["extensions"])


async def test_a_model_is_told_under_the_name_that_was_asked_for() -> None:
    for name in ("Doubler", "Doubler.double"):
        assert catalogue().metadata(name) == {
            "name": name,
            "versions": ["r7"],
            "platform": "kapelle",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
        }


async def test_the_configuration_leaves_the_dimension_of_rows_out() -> None:
    config = catalogue().config("Doubler")
    assert config["max_batch_size"] == 8
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [4], "optional": False}]
    assert config["output"] == [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}]
    config = catalogue().config("Animals.embed")
    assert config["input"][0] == {"name": "texts", "data_type": "TYPE_STRING", "dims": [1], "optional": False}
    assert catalogue().config("Animals.both")["input"][2]["optional"] is True


@kapelle.service(inline=True)
class Level:
    @kapelle.method
    def up(self, x: Annotated[Vector, kapelle.Tensor()]) -> Annotated[Vector, kapelle.Tensor()]:
        raise NotImplementedError


@kapelle.app
class Levels:
    level: Level

    @kapelle.get("/")
    async def visit(self) -> str:
        raise NotImplementedError


async def test_a_tensor_may_have_no_dimension() -> None:
    levels = catalogue(Levels)
    assert levels.metadata("Level")["inputs"] == [{"name": "x", "datatype": "FP32", "shape": []}]
    assert levels.config("Level")["output"] == [{"name": "output", "data_type": "TYPE_FP32", "dims": [1]}]


async def test_versions_are_releases() -> None:
    assert catalogue().find("Doubler", "r7").name == "Doubler.double"
    with pytest.raises(HttpError, match="no version '1'; it serves 'r7'"):
        catalogue().metadata("Doubler", "1")


@pytest.mark.parametrize("name", ["", "doubler", "Animals", "Animals.plain", "Zoo.visit"])
async def test_what_is_no_model_is_not_found(name: str) -> None:
    for ask in (catalogue().metadata, catalogue().config, catalogue().is_ready):
        with pytest.raises(HttpError, match="unknown model") as refused:
            ask(name)
        assert refused.value.status == 404


async def test_what_lives_in_the_gateway_is_ready() -> None:
    assert catalogue().ready
    assert catalogue().is_ready("Doubler")
    index = catalogue().index()
    assert index[0] == {"name": "Doubler.double", "version": "r7", "state": "READY", "reason": ""}
    assert catalogue().index(ready_only=True) == index


async def test_what_has_no_replica_is_not() -> None:
    cages = catalogue(Cages)
    assert not cages.ready
    assert not cages.is_ready("Cage")
    (found,) = cages.index()
    assert (found["state"], found["reason"]) == ("UNAVAILABLE", "no replica of Cage is ready")
    assert cages.index(ready_only=True) == []


async def test_statistics_are_of_one_model_or_all() -> None:
    one = catalogue().statistics("Doubler")["model_stats"]
    assert [(each["name"], each["inference_count"]) for each in one] == [("Doubler", 0)]
    every = catalogue().statistics()["model_stats"]
    assert len(every) == len(models_of(exposed()))
