"""What a gateway answers is what its description says: schemathesis makes up the requests."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
from openapi_schema_validator import OAS31Validator

from kapelle.testing import running
from tests.unit.gateway.showcase import Showcase

# All checks but two: that all input is taken which fits its schema (JSON schema cannot say that the lists of an array
# have the same length, and counts 1.0 as an integer), and that an absent raw body is refused (it is an empty one).
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method"
)


async def schemathesis(url: str, folder: Path) -> tuple[int, str]:
    """Exit status and output of a run against the gateway at ``url``."""
    program = Path(sys.executable).with_name("schemathesis")
    arguments = ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1"]
    process = await asyncio.create_subprocess_exec(
        program, "run", f"{url}/openapi.json", *arguments, "--no-color", "--suppress-health-check", "all",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_answers_conform_to_the_description(tmp_path: Path) -> None:
    async with running(Showcase, access_log=False) as system:
        status, output = await schemathesis(system.url, tmp_path)
    assert status == 0, output
    assert "Tested: 12" in output, output


async def test_every_example_is_accepted() -> None:
    async with running(Showcase, access_log=False) as system:
        document = (await system.client.get("/openapi.json")).json()
        tried = 0
        for path, method, operation in operations(document):
            request = example_request(path, operation)
            if request is None:
                continue
            response = await system.client.request(method, **request)
            assert response.status_code == 200, response.text
            check(document, operation, response)
            tried += 1
    assert tried == 10


async def test_events_are_as_described() -> None:
    async with running(Showcase, access_log=False) as system:
        document = (await system.client.get("/openapi.json")).json()
        response = await system.client.post("/stream", json={"text": "x", "count": 5})
    described = document["paths"]["/stream"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert len(events) == 5
    for event in events:
        validator(document, described["x-item-schema"]).validate(msgspec.json.decode(event))


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]


def example_request(path: str, operation: dict[str, Any]) -> dict[str, Any] | None:
    """The request that the description offers as an example; None where it offers none."""
    query = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        elif parameter["required"]:
            query[parameter["name"]] = parameter["example"]
    content = operation.get("requestBody", {}).get("content", {"application/json": {"example": None}})
    if "example" not in content.get("application/json", {}):
        return None
    return {"url": path, "params": query, "json": content["application/json"]["example"]}


def check(document: dict[str, Any], operation: dict[str, Any], response: httpx.Response) -> None:
    kind = response.headers["content-type"].partition(";")[0]
    described = operation["responses"]["200"]["content"][kind]
    if kind == "application/json":
        validator(document, described["schema"]).validate(response.json())


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return OAS31Validator({**schema, "components": document["components"]})
