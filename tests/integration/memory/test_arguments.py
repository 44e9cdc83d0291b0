"""Arguments arrive under the names they were given."""

from __future__ import annotations

import pytest

from kapelle.testing import MemorySystem


async def test_keyword_only_arguments_of_methods(system: MemorySystem) -> None:
    player = system.app.player
    assert await player.transpose(60, by=2) == 62
    assert await player.transpose(octaves=1, by=2, number=60) == 74
    assert await player.transpose_later(by=3) == 3
    assert [note async for note in player.scale(0, step=2, up_to=5)] == [0, 2, 4]
    with pytest.raises(TypeError, match=r"Player.transpose\(\) missing a required .*argument: 'by'"):
        await player.transpose(60)


async def test_keyword_only_arguments_of_endpoints(system: MemorySystem) -> None:
    answer = await system.client.post("/player/transpose", json={"octaves": 1, "number": 60, "by": 2})
    assert answer.json() == {"value": 74}
    answer = await system.client.post("/player/transpose", json={"number": 60})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "$.by")
    answer = await system.client.get("/player/transpose/60?by=-1")
    assert answer.json() == {"value": 59}
