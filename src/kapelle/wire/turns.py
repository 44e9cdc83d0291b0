"""What is said between a gateway and a replica, whether a message came by itself or with the others of its turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from kapelle.wire import messages

_to_replica = messages.Decoder[messages.ToReplica](messages.ToReplica)
_from_replica = messages.Decoder[messages.FromReplica](messages.FromReplica)


def said_to_replica(head: bytes) -> Sequence[messages.OneToReplica]:
    """The messages in ``head``, in their order.

    Raises:
        WireError: it is none of this direction's messages.
    """
    message = _to_replica(head)
    return message.messages if type(message) is messages.TurnToReplica else (cast(messages.OneToReplica, message),)


def said_by_replica(head: bytes) -> Sequence[messages.OneFromReplica]:
    """As ``said_to_replica``, for the other direction."""
    message = _from_replica(head)
    return message.messages if type(message) is messages.TurnFromReplica else (cast(messages.OneFromReplica, message),)
