"""The names under which an engine's DNS has the containers of a system."""

from __future__ import annotations

import re
from typing import Literal

from kapelle.config.settings import Settings

GATEWAY: Literal["gateway"] = "gateway"
CONTROLLER: Literal["controller"] = "controller"
DOOR: Literal["door"] = "door"

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def container_name(service: str) -> str:
    """The name of a service as engines take it: ``QuestionSearch`` is ``question-search``."""
    return _WORD.sub("-", service).replace("_", "-").lower().strip("-")


def host_of(settings: Settings, service: str) -> str:
    """The name that DNS has the addresses of a service's containers under."""
    return settings.peers.replace("{service}", container_name(service))
