"""A server that answers with exactly the bytes it was told to, in their order, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Asked = dict[str, str]


@dataclass
class Scripted:
    """``answers`` has one for each request; None closes the connection instead. The last one stands for all others."""

    answers: list[bytes | None]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.asked.append({"": first, **headers})
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                if answer is None or b"onnection: close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes | None) -> AsyncIterator[Scripted]:
    script = Scripted(list(answers))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield script


def answer(status: int, body: bytes = b"", *headers: str, kind: str = "application/json") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status: int, code: str, *headers: str) -> bytes:
    """A refusal as a gateway tells it."""
    body = f'{{"type":"urn:kapelle:error:{code}","status":{status},"detail":"so it is","request_id":"theirs"}}'
    return answer(status, body.encode(), *headers, kind="application/problem+json")
