"""What a replica does for the releases it holds: it obeys orders, and says what it has."""

from __future__ import annotations

from kapelle.artifacts.keeper import Keeper
from kapelle.wire import messages
from kapelle.worker.server import Worker


class Duties:
    """Hears what the controller wants. One that ``begins_empty`` was started to hold what the controller says."""

    def __init__(self, worker: Worker, keeper: Keeper, *, begins_empty: bool) -> None:
        self._worker = worker
        self._keeper = keeper
        self._begins_empty = begins_empty

    def told(self, duty: messages.Duty) -> messages.FromProcess | None:
        """Do it; the answer, if there is one at once."""
        if isinstance(duty, messages.Attend):
            return self._keeper.report
        if isinstance(duty, messages.Order):
            self._keeper.obey(duty)
            if self._begins_empty and isinstance(duty, messages.Prepare) and not duty.shards:
                self._worker.open()
        return None
