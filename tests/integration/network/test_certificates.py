"""A system of containers whose processes speak TLS with each other."""

from __future__ import annotations

import pytest

from tests.certificates import Member, make_authority
from tests.integration.network.landscape import Landscape

pytestmark = pytest.mark.asyncio(loop_scope="module")


def settle(landscape: Landscape, member: Member) -> None:
    """What containers that start from now on read."""
    lines = [f'{name} = "{value}"\n' for name, value in member.settings.items()]
    (landscape.folder / "kapelle.toml").write_text("".join(lines))


async def test_processes_with_an_old_and_a_new_certificate_of_one_authority_serve_together(empty: Landscape) -> None:
    authority = make_authority(empty.folder)
    settle(empty, authority.sign("first"))
    await empty.whole()
    settle(empty, authority.sign("second"))
    async with empty.load as load:
        for service, start in (("word-model", empty.model), ("part", empty.part), ("gateway", empty.gateway)):
            old, _ = empty.all(service)
            await (await start()).ready()
            assert await empty.end(old) == 0
        assert "r1 committed" in await empty.kapelle("release", "publish", "r1")
        await load.more(50)
    load.check()
    settle(empty, make_authority(empty.folder, "strangers").sign("third"))
    stranger = await empty.model()
    await stranger.serving.said("a link was refused")
    async with empty.load as load:
        await load.more(50)
    load.check()
