"""How much memory a running system takes at its highest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

EVERY = 1.0  # seconds; to look takes a few milliseconds for each process


class Memory:
    """Looks at some processes again and again, from another thread: what they hold alone, and their part of what they share.

    That is the PSS of ``/proc``: the sum over all processes is what the machine gives for them.
    """

    def __init__(self, processes: Sequence[int]) -> None:
        self._processes = processes
        self._peak = 0

    async def watch(self) -> None:
        """Go on until cancelled."""
        while True:
            self._peak = max(self._peak, await asyncio.to_thread(self.now))
            await asyncio.sleep(EVERY)

    def take_peak(self) -> int:
        """Bytes at the highest since the last call."""
        peak, self._peak = self._peak, 0
        return peak

    def now(self) -> int:
        """Bytes of all of them; 0 where the system does not tell."""
        return sum(_pss(one) for one in self._processes)


def _pss(process: int) -> int:
    with suppress(OSError):  # it has ended, or this is no Linux
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
