"""What the endpoints of all protocols share."""

from __future__ import annotations

import msgspec

from kapelle.errors import InvalidInput
from kapelle.gateway.protocols.inference import Given, Inference
from kapelle.gateway.protocols.model_endpoint import ModelEndpoint, protocol_spec, release_of
from tests.unit.gateway.protocols.zoo import MODELS, common, function_of
from tests.unit.gateway.recorder import make_request


def endpoint() -> ModelEndpoint:
    return ModelEndpoint("v9", "/v9/Doubler", "Doubler", MODELS["Doubler"], common())


async def test_a_model_is_asked_under_its_name_and_counted() -> None:
    asked = endpoint()
    rows = Given("x", "FP32", (1, 4), [1, 2, 3, 4], "inputs[0]")
    found = await asked.ask(function_of("Doubler"), Inference("", [rows], None))
    assert found.model == "Doubler"
    assert asked.common.statistics.tally(MODELS["Doubler.double"]).successes == 1


def test_it_is_a_route_that_calls_the_method() -> None:
    asked = endpoint()
    assert (asked.spec.path, asked.name, asked.function) == ("/v9/Doubler", "v9:Doubler", "Doubler.double")
    assert asked.timeout == 30.0
    spec = protocol_spec("/p", "n")
    assert (spec.method, spec.streams, spec.signature.names) == ("POST", False, ("body",))


def test_errors_are_told_as_the_protocols_do() -> None:
    status, (kind, body, _) = endpoint().refusal(InvalidInput("no", path="x"), "id")
    assert (status, kind, msgspec.json.decode(body)) == (400, b"application/json", {"error": "x: no"})


def test_a_request_outside_of_any_release_sees_none() -> None:
    assert release_of(make_request()) == ""
