"""The names under which an engine's DNS has the containers of a system."""

from __future__ import annotations

import re
from typing import Literal

from kapelle.config.settings import Settings

GATEWAY: Literal["gateway"] = "gateway"
CONTROLLER: Literal["controller"] = "controller"
DOOR: Literal["door"] = "door"

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


def container_name(service: str) -> str:
    """The name of a class as engines take it: ``QuestionSearch`` is ``question-search``, ``GPT2`` is ``gpt-2``."""
    return "-".join(_WORDS.findall(service)).lower()


def host_of(settings: Settings, service: str) -> str:
    """The name that DNS has the addresses of a service's containers under."""
    return settings.peers.replace("{service}", container_name(service))
