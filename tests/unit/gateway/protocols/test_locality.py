"""Memory is named by clients of this machine only."""

from __future__ import annotations

import pytest

from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.locality import borrow, check_local, client_of
from tests.unit.gateway.recorder import make_request


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", ""])
def test_clients_of_this_machine_may(host: str) -> None:
    check_local(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.2", "2001:db8::1", "::ffff:10.0.0.1", "somewhere"])
def test_others_may_not(host: str) -> None:
    with pytest.raises(HttpError, match="this machine only") as refused:
        check_local(host)
    assert refused.value.status == 403


def test_the_client_is_the_connections() -> None:
    assert client_of(make_request()) == "10.0.0.1"


def test_a_request_that_names_memory_is_known_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request()
    with pytest.raises(HttpError, match="this machine only"):
        borrow(request)
    assert not request.borrows
    monkeypatch.setattr(request.connection, "origin", lambda: {"client": ("127.0.0.1", 4000)})
    borrow(request)
    assert request.borrows
