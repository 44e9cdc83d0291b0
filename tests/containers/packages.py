"""The files of this machine's own Debian packages, as an image needs them: those of some packages and of all they need."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FIELDS = ("Package", "db:Status-Status", "Essential", "Pre-Depends", "Depends", "Provides")
UNSEEN = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bash-completion)/")
"""What nobody reads in a container."""


@dataclass(frozen=True)
class Package:
    """An installed package. ``needs`` are groups of names, one of each is enough."""

    name: str
    essential: bool
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """The packages of a machine."""

    packages: Mapping[str, Package]

    @cached_property
    def providers(self) -> Mapping[str, str]:
        """Who fulfils a name: the package of that name, or one that provides it."""
        found = {virtual: each.name for each in self.packages.values() for virtual in each.provides}
        return found | {name: name for name in self.packages}

    def closure(self, wanted: Iterable[str]) -> list[str]:
        """These packages, the essential ones, and all that they need in turn; sorted.

        Raises:
            KeyError: a wanted one is not installed.
        """
        missing = [name for name in wanted if name not in self.packages]
        if missing:
            raise KeyError(f"not installed: {', '.join(missing)}")
        ahead = [*wanted, *(each.name for each in self.packages.values() if each.essential)]
        found: set[str] = set()
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += [self._one_of(group) for group in self.packages[name].needs if self._one_of(group)]
        return sorted(found)

    def _one_of(self, names: Iterable[str]) -> str:
        # A package may be installed although something that it names is not: whoever built this machine knew better.
        return next((self.providers[name] for name in names if name in self.providers), "")


def installed() -> Installed:
    """The packages of this machine."""
    form = "\\t".join(f"${{{field}}}" for field in FIELDS) + "\\n"
    asked = ["dpkg-query", "--show", "--showformat", form]
    return parse(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)


def parse(listing: str) -> Installed:
    """A listing with a line for each package, its fields in the order of ``FIELDS`` and parted by tabs."""
    found = {}
    for line in listing.splitlines():
        name, status, essential, before, depends, provides = line.split("\t")
        if status == "installed":
            needs = (*_groups(before), *_groups(depends))
            virtual = tuple(each for group in _groups(provides) for each in group)
            found[name] = Package(name, essential == "yes", needs, virtual)
    return Installed(found)


def _groups(field: str) -> tuple[tuple[str, ...], ...]:
    """``a (>= 1), b:any | c`` is (a), (b, c)."""
    wanted = (group.split("|") for group in field.split(",") if group.strip())
    return tuple(tuple(re.split(r"[ (:]", each.strip(), maxsplit=1)[0] for each in group) for group in wanted)


def files_of(packages: Iterable[str]) -> list[Path]:
    """The packages' files and folders, by their real places, without what nobody reads in a container; sorted."""
    listed = subprocess.run(["dpkg-query", "--listfiles", *packages], check=True, capture_output=True, text=True).stdout
    seen = {Path(line) for line in listed.splitlines() if line.startswith("/") and not UNSEEN.match(line)} - {
        Path("/.")
    }
    # Part of a list may be missing: machines are often set up without manual pages and the like.
    return sorted({each.parent.resolve() / each.name for each in seen if each.is_symlink() or each.exists()})
