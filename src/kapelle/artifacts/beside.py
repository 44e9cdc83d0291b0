"""Running user code beside everything else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


async def beside(function: Callable[[], Any]) -> Any:
    """What ``function`` returns or raises, from a thread of its own.

    Neither calls nor the end of the process wait for it, as they would for the thread of a pool.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def end(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(value) if error is None else done.set_exception(error)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = function()
        except StopIteration as stop:
            error = RuntimeError(f"user code raised {stop!r}")
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it belongs to the waiter
            error = raised
        try:
            loop.call_soon_threadsafe(end, value, error)
        except RuntimeError:
            # The event loop has ended before this did.
            return

    threading.Thread(target=work, name="kapelle-beside", daemon=True).start()
    return await done
