"""The ``kapelle`` command, whose controller is killed at a chosen instruction of the first publish it is asked for.

``doomed.py STEPS ARGUMENT…`` runs ``kapelle ARGUMENT…``. From the wish on it carries out STEPS effects of the rollout
machine, and is killed before the next one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from kapelle.cli.main import main
from kapelle.control.conductor import Conductor
from kapelle.core.rollout_messages import Effect
from kapelle.wire import wishes


def doom(steps: int) -> None:
    """Have the controller killed after so many steps."""
    carry_out, grant = Conductor._carry_out, Conductor.grant
    left: list[int] = []

    def counted(self: Conductor, effect: Effect) -> None:
        if left:
            if not left[0]:
                print(f"killed before {type(effect).__name__}", flush=True)  # noqa: T201 - read by the test
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        carry_out(self, effect)

    async def granted(self: Conductor, wish: wishes.Wish, say: Callable[[str], None]) -> wishes.Over:
        left.append(steps)
        over = await grant(self, wish, say)
        left.clear()
        return over

    Conductor._carry_out = counted  # type: ignore[method-assign]  # for this process, which was made for it
    Conductor.grant = granted  # type: ignore[method-assign]  # as above


if __name__ == "__main__":
    doom(int(sys.argv.pop(1)))
    main()
