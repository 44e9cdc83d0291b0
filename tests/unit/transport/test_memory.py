"""What the memory transport has beyond the contract: names, and honesty about bytes."""

from __future__ import annotations

import pytest

from kapelle.transport.memory import MemoryConnection, MemoryNetwork
from tests.unit.transport.ends import End


async def test_nobody_listens() -> None:
    network = MemoryNetwork()
    with pytest.raises(ConnectionRefusedError, match="nobody listens at encoder-0"):
        await network.connect("encoder-0")
    network.listen("encoder-0", lambda connection: None)
    await network.connect("encoder-0")
    network.forget("encoder-0")
    network.forget("encoder-0")
    with pytest.raises(ConnectionRefusedError):
        await network.connect("encoder-0")


async def test_bytes_are_copied_on_the_way() -> None:
    """As with sockets: nothing that one side does to its buffers afterwards reaches the other."""
    one, other = MemoryConnection.pair()
    End(one).start()
    there = End(other).start()
    body = bytearray(b"before")
    one.send(b"head", [body])
    body[:] = b"after!"
    ((_, arrived),) = await there.received(1)
    assert bytes(arrived) == b"before"


async def test_nothing_is_delivered_within_send() -> None:
    """A receiver never runs inside its sender's call, as it never does over a socket."""
    one, other = MemoryConnection.pair()
    End(one).start()
    there = End(other).start()
    one.send(b"head")
    one.close()
    assert there.frames == []
    assert there.lost == []
    await there.ended()
    assert there.heads == [b"head"]


async def test_bulk_frames_take_longer_and_are_not_starved() -> None:
    one, other = MemoryConnection.pair()
    End(one).start()
    there = End(other).start()
    one.send(b"large", bulk=True)
    sent = 0
    while b"large" not in there.heads:
        one.send(b"small")
        sent += 1
        await there.received(sent)
    assert sent < 5
