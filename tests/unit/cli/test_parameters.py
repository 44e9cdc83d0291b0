"""What an option says is read in one way, and refused by the option's name."""

from __future__ import annotations

import pytest

from kapelle.cli.parameters import in_seconds
from kapelle.errors import ConfigError


@pytest.mark.parametrize(("text", "found"), [("5", 5.0), ("0.5", 0.5), ("250ms", 0.25), ("2 m", 120.0)])
def test_durations_may_leave_out_the_unit(text: str, found: float) -> None:
    assert in_seconds("--timeout", text) == found


@pytest.mark.parametrize("text", ["", "-1", "soon", "nan", "1e3"])
def test_what_is_no_duration_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--timeout {text}: expected a number of seconds"):
        in_seconds("--timeout", text)
