"""Who may name memory of this machine: clients on it, and nobody else."""

from __future__ import annotations

import ipaddress

from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Request


def check_local(host: str) -> None:
    """Refuse clients of other machines: what they name in memory is not theirs.

    Raises:
        HttpError: ``host`` is not an address of this machine's own (127.0.0.1, ::1).
    """
    try:
        address = ipaddress.ip_address(host)
        # A gateway that listens at :: sees clients of IPv4 as ::ffff:127.0.0.1.
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        local = (mapped or address).is_loopback
    except ValueError:
        local = not host  # a Unix socket has no address
    if not local:
        raise HttpError(403, "shared memory can be registered from this machine only", code="forbidden")


def borrow(request: Request) -> None:
    """A request names memory of its client's.

    Raises:
        HttpError: as ``check_local``.
    """
    check_local(client_of(request))
    request.borrows = True


def client_of(request: Request) -> str:
    """The address of the client of a request; empty where it has none."""
    client = request.connection.origin().get("client")
    return client[0] if client else ""
