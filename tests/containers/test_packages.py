"""Which packages an image gets: the wanted ones, what they need in turn, and what every system has."""

from __future__ import annotations

import pytest

from tests.containers.packages import Installed, parse

# name, status, essential, needed before, needed, provided
LISTING = """\
libc6\tinstalled\tno\t\tlibgcc-s1, libcrypt1 (>= 1:4.4.10-10~)\t
libgcc-s1\tinstalled\tno\t\tlibc6 (>= 2.35)\t
libcrypt1\tinstalled\tno\t\tlibc6\t
base\tinstalled\tyes\tawk\t\t
mawk\tinstalled\tno\tlibc6\t\tawk
python3\tinstalled\tno\tbase (= 3)\tpython3:any, absent | mawk, not-there\t
old\tconfig-files\tno\t\t\t
other\tinstalled\tno\t\t\t
"""


@pytest.fixture
def machine() -> Installed:
    return parse(LISTING)


def test_packages_come_with_what_they_need_and_the_essential_ones(machine: Installed) -> None:
    assert machine.closure(["python3"]) == ["base", "libc6", "libcrypt1", "libgcc-s1", "mawk", "python3"]


def test_a_need_may_be_provided_under_another_name(machine: Installed) -> None:
    assert machine.closure([]) == ["base", "libc6", "libcrypt1", "libgcc-s1", "mawk"]


def test_only_what_is_installed_can_be_had(machine: Installed) -> None:
    with pytest.raises(KeyError, match="not installed: old, unknown"):
        machine.closure(["python3", "old", "unknown"])
