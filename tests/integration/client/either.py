"""One face for both clients, so that every test holds for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from kapelle.client import AsyncClient, Client


class Either(Protocol):
    async def ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What the call ``name`` of the client gives."""

    def stream(self, *arguments: Any, **options: Any) -> AsyncGenerator[Any, None]:
        """The items of a stream."""

    async def close(self) -> None: ...


class InTasks:
    """``AsyncClient``."""

    def __init__(self, address: str, **given: Any) -> None:
        self._client = AsyncClient(address, **given)

    async def ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        return await getattr(self._client, name)(*arguments, **options)

    def stream(self, *arguments: Any, **options: Any) -> AsyncGenerator[Any, None]:
        return self._client.stream(*arguments, **options)

    async def close(self) -> None:
        await self._client.close()


class InThreads:
    """``Client``, each call in a thread: the gateway lives in this one."""

    def __init__(self, address: str, **given: Any) -> None:
        self._client = Client(address, **given)

    async def ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, name), *arguments, **options)

    async def stream(self, *arguments: Any, **options: Any) -> AsyncGenerator[Any, None]:
        items = self._client.stream(*arguments, **options)
        end = object()
        try:
            while (item := await asyncio.to_thread(next, items, end)) is not end:
                yield item
        finally:
            await asyncio.to_thread(items.close)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)


KINDS: list[type[InTasks | InThreads]] = [InTasks, InThreads]


async def collected(items: AsyncGenerator[Any, None]) -> tuple[list[Any], BaseException | None]:
    """The items of a stream, and the error that it ended with."""
    found = []
    async with aclosing(items):
        try:
            async for item in items:
                found.append(item)  # noqa: PERF401 - those before an error count, too
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            return found, error
    return found, None
