"""Clients at several doors of one system: each asks steadily, and counts what became of its requests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from tests.integration.processes.load import Load

RATE = 12.0
"""Requests a second at each door."""


def tell(text: str) -> None:
    """Show a figure to whoever runs these tests with ``-s``."""
    print(text)  # noqa: T201 - as above


class Clients:
    """One client at each door, as far as a load balancer would send it there. ``seen`` counts answers by their parts."""

    def __init__(self, doors: Mapping[str, str]) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.last: dict[str, tuple[str, str]] = {}
        self.at = {
            name: Load(url, RATE, "/read", self._checker(name), forgiving=True, patience=12.0)
            for name, url in doors.items()
        }

    def _checker(self, node: str) -> Callable[[int, bytes], bool]:
        def is_right(number: int, answer: bytes) -> bool:
            asked, code, *editions = json.loads(answer)
            # Whatever changes meanwhile: an answer is of one release.
            if asked != str(number) or len(editions) != 4 or len(set(editions)) != 1:
                return False
            self.last[node] = code, editions[0]
            self.seen[self.last[node]] += 1
            return True

        return is_right

    def all_see(self, code: str, edition: str) -> bool:
        """Whether the last answer at every door is of this code and this release."""
        return all(self.last.get(name) == (code, edition) for name in self.at)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; it is looked at as requests are sent and answered."""
        for load in self.at.values():
            await load.until(condition)

    async def more(self, count: int) -> None:
        """Return when so many more requests have been answered at the first door, whose node is to be well."""
        await next(iter(self.at.values())).more(count)

    def count(self, what: str, without: str = "") -> str:
        """Print what became of all requests, and fail if one was lost elsewhere than at the door of ``without``."""
        lines = []
        for name, load in self.at.items():
            lines.append(
                f"{name}: {load.answered} answered, {len(load.failed)} failed, {load.refused} refused, "
                f"{load.repeated} sent twice, slowest {load.slowest:.2f} s"
            )
        text = f"{what}: {'; '.join(lines)}"
        tell(text)
        for name, load in self.at.items():
            assert name == without or not (load.failed or load.refused), f"{text}\n{name}: {load.failed[:3]}"
        return text


@asynccontextmanager
async def clients(doors: Mapping[str, str]) -> AsyncIterator[Clients]:
    """Ask at these addresses, by the names of what they belong to, for as long as this is entered."""
    found = Clients(doors)
    async with AsyncExitStack() as stack:
        for load in found.at.values():
            await stack.enter_async_context(load)
        yield found
