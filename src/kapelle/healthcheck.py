"""Asks the process of a container whether it is well: ``python -m kapelle.healthcheck [readyz|livez]``.

An engine runs this every few seconds in every container, so it imports next to nothing.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping

DEFAULT_PORT = "7102"
"""That of the setting ``health_port``."""
TIMEOUT = 3.0
_LONGEST = 64 << 10
"""Bytes of an answer that are read."""


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """The exit status: 0 when all is well; else the reason is printed."""
    page = arguments[0] if arguments else "readyz"
    if page not in ("livez", "readyz") or len(arguments) > 1:
        return _say("usage: python -m kapelle.healthcheck [readyz|livez]")
    port = environment.get("KAPELLE_HEALTH_PORT", DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return _say(f"KAPELLE_HEALTH_PORT={port}: expected a port from 1 to 65535")
    try:
        status, reason = _ask(int(port), page)
    except OSError as error:
        return _say(f"nobody says anything at 127.0.0.1:{port}: {error}")
    return 0 if status == 200 else _say(f"/{page}: {reason or f'status {status}'}")


def _ask(port: int, page: str) -> tuple[int, str]:
    """Status and text of the answer; status 0 where there was none of HTTP."""
    deadline = time.monotonic() + TIMEOUT
    answer = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as asked:
        asked.sendall(f"GET /{page} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        while len(answer) < _LONGEST:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            asked.settimeout(left)
            part = asked.recv(_LONGEST)
            if not part:
                break
            answer += part
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    version, _, rest = head.partition(" ")
    status = rest[:3]
    return int(status) if version.startswith("HTTP/1.") and status.isdecimal() else 0, body.strip()


def _say(reason: str) -> int:
    sys.stdout.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
