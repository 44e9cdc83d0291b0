"""Mounted applications are told of the start and the stop, whatever they make of it."""

from __future__ import annotations

from typing import Any

import pytest

from kapelle.errors import StartError
from kapelle.gateway.asgi import Message, Receive, Send
from kapelle.gateway.lifespan import Living


class Application:
    """Answers lifespan events as its ``answers`` say; nothing for an event it does not know."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.seen: list[Any] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(scope["state"])
            scope["state"]["mine"] = "alone"
            return
        scope["state"]["model"] = "loaded"
        while True:
            event = (await receive())["type"].removeprefix("lifespan.")
            self.seen.append(event)
            if event not in self.answers:
                return
            await send({"type": f"lifespan.{event}.{self.answers[event]}", "message": "why"})


async def test_start_and_stop() -> None:
    application = Application(startup="complete", shutdown="complete")
    living = Living(application)
    await living.startup()
    assert application.seen == ["startup"]
    await living.shutdown()
    assert application.seen == ["startup", "shutdown"]


async def test_each_request_gets_a_copy_of_the_state() -> None:
    application = Application(startup="complete", shutdown="complete")
    living = Living(application)
    await living.startup()
    for _ in range(2):
        await living({"type": "http"}, _never, _never)
    await living.shutdown()
    assert application.seen == [
        "startup",
        {"model": "loaded", "mine": "alone"},
        {"model": "loaded", "mine": "alone"},
        "shutdown",
    ]
    assert application.seen[1] is not application.seen[2]


async def test_a_failed_start_is_an_error() -> None:
    with pytest.raises(StartError, match="why"):
        await Living(Application(startup="failed")).startup()


async def test_a_failed_stop_is_not() -> None:
    living = Living(Application(startup="complete", shutdown="failed"))
    await living.startup()
    await living.shutdown()


async def test_applications_without_a_lifespan() -> None:
    async def refuses(scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"

    for application in (Application(), refuses):
        living = Living(application)
        await living.startup()
        await living({"type": "http"}, _never, _never)
        await living.shutdown()


async def test_a_stop_without_a_start() -> None:
    await Living(Application()).shutdown()


async def _never(*_: Any) -> Any:
    raise AssertionError("not to be called")
