"""A small app to be measured."""

from __future__ import annotations

from pathlib import Path

import kapelle
from kapelle.bench.client import Request
from kapelle.bench.own import Subject
from kapelle.config.settings import Settings
from kapelle.declare.loading import Target


@kapelle.service
class Upper:
    @kapelle.method
    def upper(self, text: str) -> str:
        return text.upper()


@kapelle.service(inline=True)
class Lower:
    @kapelle.method
    def lower(self, text: str) -> str:
        return text.lower()


@kapelle.app
class Pipeline:
    upper: Upper
    lower: Lower

    @kapelle.post("/change")
    async def change(self, text: str) -> str:
        return await self.upper.upper(await self.lower.lower(text))


def subject(request: Request | None) -> Subject:
    target = f"{__file__}:Pipeline"
    return Subject(target, Target(target).load(), Settings(), Path("artifacts"), request)


GOOD = Request("POST", "/change", b'{"text": "Hello"}', "application/json")
BAD = Request("POST", "/change", b"{}", "application/json")
