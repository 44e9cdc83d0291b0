"""A process as its conductor sees it: started by this controller, or by an engine on any machine."""

from __future__ import annotations

from typing import Protocol

from kapelle.config.orders import Holding
from kapelle.control.recipes import Role
from kapelle.wire import messages


class Conducted(Protocol):
    """Who it is, and a way to tell it something. ``holding`` is what it holds of the current release."""

    holding: Holding

    @property
    def started(self) -> float:
        """Wall-clock time of its start."""

    @property
    def name(self) -> str:
        """Its name: no other process of the system has the same at the same time."""

    @property
    def role(self) -> Role:
        """What it is."""

    @property
    def service(self) -> str:
        """The service that a replica runs; "" for a gateway."""

    @property
    def slot(self) -> str:
        """The place that it takes; a replica that takes over from another has the same."""

    @property
    def node(self) -> str:
        """The machine that it is on."""

    @property
    def code(self) -> str:
        """The version of the user's code, where releases bring that."""

    @property
    def has_place(self) -> bool:
        """Whether it is to stay; one that is not is conducted by nobody."""

    def send(self, message: messages.ToProcess) -> None:
        """Tell it something; lost when it cannot hear."""
