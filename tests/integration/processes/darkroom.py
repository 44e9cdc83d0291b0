"""An app that hands photographs about as the bytes they are, in every way that bytes can be declared."""

from __future__ import annotations

from collections.abc import AsyncIterator

import kapelle


@kapelle.service
class Negative:
    @kapelle.method
    def mirror(self, photo: bytes) -> bytes:
        """Back to front."""
        return photo[::-1]

    @kapelle.method
    def paint(self, photo: bytearray) -> bytearray:
        """With a first byte of its own: what it is given is nobody else's."""
        photo[0] = 0
        return photo

    @kapelle.method
    def show(self, photo: memoryview) -> memoryview:
        """The very memory it was given."""
        assert photo.readonly
        return photo

    @kapelle.batched(max_size=4)
    def mirror_all(self, photos: list[bytes]) -> list[bytes]:
        """Each back to front."""
        return [photo[::-1] for photo in photos]

    @kapelle.method
    async def halves(self, photo: bytes) -> AsyncIterator[bytes]:
        """The first half, then the second."""
        half = len(photo) // 2
        yield photo[:half]
        yield photo[half:]


@kapelle.app
class Darkroom:
    negative: Negative

    @kapelle.post("/develop")
    async def develop(self, file: kapelle.Upload) -> bytes:
        """The photograph, after all of these have had it."""
        negative = self.negative
        photo = await negative.mirror(file.data)
        [photo, once_more] = await negative.mirror_all.many([photo, file.data])
        assert once_more == file.data[::-1]
        photo = b"".join([half async for half in negative.halves(photo)])
        return bytes(await negative.paint(bytearray(photo)))

    @kapelle.post("/show")
    async def show(self, photo: memoryview) -> memoryview:
        """It as it came."""
        return await self.negative.show(photo)
