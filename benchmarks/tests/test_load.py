from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from dialogue import FLOWERS, ask_for_predictions
from load import closed_loop, open_loop
from servers import ask

DIALOGUE = ask_for_predictions()
RIGHT = {tuple(row): flower for row, flower in FLOWERS}

Answer = Callable[[bytes], bytes]


def right(body: bytes) -> bytes:
    instances = msgspec.json.decode(body)["instances"]
    return ok(msgspec.json.encode({"predictions": [RIGHT[tuple(row)] for row in instances]}))


def ok(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """A plain threaded server on a free port; an empty answer closes the connection."""

    def serve(connection: socket.socket) -> None:
        with connection:
            buffer = b""
            while chunk := connection.recv(65536):
                buffer += chunk
                head, found, body = buffer.partition(b"\r\n\r\n")
                if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]):
                    continue
                buffer = b""
                reply = answer(body)
                if not reply:
                    return
                connection.sendall(reply)
                if b"connection: close" in head:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_closed_loop_counts_right_answers() -> None:
    with serving(right) as port:
        outcome = closed_loop(DIALOGUE, port, concurrency=4, seconds=0.3)
    assert not outcome.errors
    assert outcome.right > 30
    assert outcome.seconds == pytest.approx(0.3, abs=0.2)
    p50, worst = outcome.quantiles(0.5, 1.0)
    assert 0 < p50 <= worst


def test_answer_in_pieces_is_put_together() -> None:
    def serve_slowly(connection: socket.socket) -> None:
        with connection:
            while body := connection.recv(65536):
                for byte in right(body.partition(b"\r\n\r\n")[2]):
                    connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=lambda: serve_slowly(listener.accept()[0]), daemon=True).start()
        outcome = closed_loop(DIALOGUE, listener.getsockname()[1], concurrency=1, seconds=0.2)
    assert outcome.right > 0
    assert not outcome.errors


def test_wrong_answers_are_errors_and_no_latencies() -> None:
    always_the_same = ok(b'{"predictions":[0]}')
    with serving(lambda _body: always_the_same) as port:
        outcome = closed_loop(DIALOGUE, port, concurrency=3, seconds=0.2)
    # One of the three flowers is a 0; the others must not pass.
    assert outcome.right == pytest.approx(outcome.errors["wrong answer"] / 2, rel=0.2, abs=5)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"predictions":0}', b'{"other":[0]}', b'{"predictions":[0,0]}'])
def test_malformed_answers_are_wrong(body: bytes) -> None:
    with serving(lambda _body: ok(body)) as port:
        outcome = closed_loop(DIALOGUE, port, concurrency=1, seconds=0.1)
    assert outcome.right == 0
    assert outcome.errors["wrong answer"] > 0


def test_other_statuses_are_errors_even_with_the_right_body() -> None:
    with serving(lambda body: right(body).replace(b"200 OK", b"503 Full")) as port:
        outcome = closed_loop(DIALOGUE, port, concurrency=2, seconds=0.1)
    assert outcome.right == 0
    assert outcome.errors["status 503"] > 0


def test_closed_connection_is_an_error_and_the_load_goes_on() -> None:
    answers = iter([b"", b""])
    with serving(lambda body: next(answers, right(body))) as port:
        outcome = closed_loop(DIALOGUE, port, concurrency=1, seconds=0.3)
    assert outcome.errors == {"connection closed by the server": 2}
    assert outcome.right > 10


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = closed_loop(DIALOGUE, port, concurrency=2, seconds=0.1)
    assert outcome.wrong == 2
    assert outcome.right == 0


def test_server_that_goes_away_ends_the_load() -> None:
    def serve_once() -> None:
        connection, _ = listener.accept()
        listener.close()
        with connection:
            connection.sendall(right(connection.recv(65536).partition(b"\r\n\r\n")[2]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=serve_once, daemon=True).start()
        outcome = closed_loop(DIALOGUE, port, concurrency=1, seconds=30)
    assert outcome.right == 1
    assert outcome.errors.total() == 2  # the request that was cut off, and the connection that was refused
    assert outcome.seconds < 5


def test_open_loop_keeps_its_rate() -> None:
    with serving(right) as port:
        outcome = open_loop(DIALOGUE, port, rate=300, seconds=1, connections=8)
    assert not outcome.errors
    assert outcome.right == 300
    assert outcome.seconds == pytest.approx(1.0, abs=0.2)


def test_open_loop_counts_from_when_a_request_was_due() -> None:
    """One stall of 0.4 s in one second: two in five arrivals fall into it, and their latencies must show it."""
    start = time.monotonic()
    lock = threading.Lock()
    stalled = False

    def stalls_once(body: bytes) -> bytes:
        nonlocal stalled
        with lock:
            if not stalled and time.monotonic() - start > 0.3:
                stalled = True
                time.sleep(0.4)  # the stall that the open loop must not hide
        return right(body)

    with serving(stalls_once) as port:
        start = time.monotonic()
        outcome = open_loop(DIALOGUE, port, rate=200, seconds=1, connections=4)
    assert outcome.right == 200
    late = [latency for latency in outcome.latencies if latency > 0.1]
    assert len(late) >= 45  # those due in the first 0.3 s of it; a closed loop would have seen four
    assert 0.35 < max(late) < 1.0


def test_open_loop_gives_up_on_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("load.GRACE_SECONDS", 0.2)
    never = threading.Event()
    with serving(lambda body: right(body) if never.wait() else b"") as port:
        outcome = open_loop(DIALOGUE, port, rate=50, seconds=0.4, connections=4)
        never.set()
    assert outcome.right == 0
    assert outcome.wrong == 20


def test_ask_raises_on_a_refusal() -> None:
    with serving(lambda _body: ok(b"{}", "503 Full")) as port, pytest.raises(ValueError, match="503"):
        ask(port, DIALOGUE, DIALOGUE.exchanges[0])
