"""What BuildKit says while it builds (``--progress=plain``), as steps: what each does, and whether it was there already."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(r"#(\d+) (.*)")
_BEGINS = re.compile(r"\[(?:\w+/[\w/]+ )?(?:(?P<stage>[\w-]+) )?(?:stage-\d+ )?\s*(?P<number>\d+)/\d+\] (?P<does>.*)")
_DONE = re.compile(r"DONE ([\d.]+)s")
_TIMED = re.compile(r"[\d.]+ (.*)")
_KEPT = 12


@dataclass(slots=True)
class Step:
    """One instruction of a stage. ``said`` are the last lines that its command printed."""

    stage: str
    does: str
    cached: bool = False
    seconds: float = 0.0
    failed: bool = False
    said: list[str] = field(default_factory=list)


class Steps:
    """The steps of a build, from its lines."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def hear(self, line: str) -> Step | None:
        """Take a line; the step that it begins."""
        found = _LINE.match(line)
        if found is None:
            return None
        number, rest = found.groups()
        if number not in self._steps:
            begins = _BEGINS.match(rest)
            if begins is None:
                return None
            self._steps[number] = Step(begins["stage"] or "", begins["does"])
            return self._steps[number]
        self._goes_on(self._steps[number], rest)
        return None

    @property
    def all(self) -> list[Step]:
        """The steps so far."""
        return list(self._steps.values())

    @property
    def failed(self) -> Step | None:
        """The step that failed, if one did."""
        return next((step for step in self._steps.values() if step.failed), None)

    def _goes_on(self, step: Step, rest: str) -> None:
        if rest == "CACHED":
            step.cached = True
        elif done := _DONE.fullmatch(rest):
            step.seconds = float(done[1])
        elif rest.startswith("ERROR"):
            step.failed = True
        elif said := _TIMED.fullmatch(rest):
            step.said = [*step.said[-_KEPT:], said[1]]
