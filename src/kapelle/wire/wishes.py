"""What people say to the controller by the command line, and what it answers.

The controller answers ``Probe`` and ``Scrape`` like every process, and some questions more.
"""

from __future__ import annotations

from kapelle.wire import messages

DENIED = "denied"
"""The outcome of a wish that could not be granted."""


class StatusQuery(messages.Message, tag=5, frozen=True):
    """What runs?"""


class Publish(messages.Message, tag=11, frozen=True):
    """Make ``release`` the current one; with a ``share`` above 0 after it was tried on so many of the requests.

    They are answered by it, or ``mirrored``: answered by the current one and asked of both.
    """

    release: str
    share: float = 0.0
    mirrored: bool = False


class Rollback(messages.Message, tag=12, frozen=True):
    """Go back to the release before the current one."""


class CancelPublish(messages.Message, tag=13, frozen=True):
    """Give up the publish that runs."""


Wish = Publish | Rollback | CancelPublish

ToController = messages.Probe | messages.Scrape | StatusQuery | Wish


class StatusAnswer(messages.Message, tag=3, frozen=True):
    """``status`` is JSON, as of ``kapelle.control.status``."""

    status: bytes


class Told(messages.Message, tag=8, frozen=True):
    """How far a wish is, for people to read."""

    text: str


class Over(messages.Message, tag=9, frozen=True):
    """How a wish ended: ``outcome`` is one of ``kapelle.core.rollout_messages.Outcome``, or "denied"."""

    release: str
    outcome: str
    reason: str


FromController = messages.Health | messages.Scraped | StatusAnswer | Told | Over
