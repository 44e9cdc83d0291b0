"""Objects in a bucket of S3, or of anything that speaks its protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from kapelle.artifacts.objects import NoObject
from kapelle.errors import ConfigError, StoreError

if TYPE_CHECKING:  # these exist for checkers only
    from obstore.store import ClientConfig, S3Config

_PIECE = 1 << 20
_CHUNK = 8 << 20
_CHUNKS = 9_000
"""S3 takes 10,000 pieces of an upload."""
_UPLOADS = 4
_RETRIES = 3
_UPLOAD = timedelta(minutes=5)
"""For one piece of an upload, and for S3 to put all of them together."""
_FOREVER = timedelta(days=7)

_EXPECTED = "expected s3://bucket/prefix, and ?endpoint=https://host:port for anything but AWS"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")
_ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._/-]*)?")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class S3Objects:
    """Objects at ``url``: ``s3://bucket/prefix``, with ``?endpoint=…`` or ``AWS_ENDPOINT_URL`` for anything but AWS.

    Who may do it is found where AWS's own tools look in a container: ``AWS_ACCESS_KEY_ID`` and
    ``AWS_SECRET_ACCESS_KEY``, a web identity, the task or the machine. A store that does not answer is given up after
    ``patience`` seconds.

    Raises:
        ConfigError: ``url`` is no such address.
    """

    def __init__(self, url: str, patience: float = 15.0) -> None:
        self.bucket, self.prefix, endpoint = _parsed(url)
        self.endpoint = endpoint or next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
        # What cannot be part of a request ends the library with a panic, which is no Exception.
        if self.endpoint and not _ENDPOINT.fullmatch(self.endpoint):
            raise ConfigError(f"the endpoint of s3://{self.bucket} is no http(s)://host:port, or has a user in it")
        # What stalls is asked again, and the last of these attempts may begin just before the end of the second.
        stalled, retrying = timedelta(seconds=patience / 3), timedelta(seconds=patience * 2 / 3)
        self._store = self._open(stalled, retrying, read_timeout=stalled, timeout=_FOREVER)
        # Asked again after an answer was lost, S3 would say of what this very request created that it is there already.
        self._once = self._open(stalled, retrying, retries=0, read_timeout=stalled, timeout=_FOREVER)
        # An upload is silent for as long as it takes, which says nothing about the store.
        self._uploads = self._open(stalled, retrying, timeout=_UPLOAD)

    def __str__(self) -> str:
        place = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{place} at {self.endpoint}" if self.endpoint else place

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        with self._failing("read", key):
            try:
                found = obstore.get(self._store, key, options={"range": {"offset": start}} if start else None)
            except BaseError as error:
                if not start or _status(error) != "416":
                    raise
                # Nothing is left from there on: because the object ends there, or ends before.
                size = obstore.head(self._store, key)["size"]
                if start > size:
                    raise NoObject(f"{self} has {size} bytes of {key}; expected at least {start}") from None
                return
            yield from found.stream(_PIECE)

    def put(self, key: str, source: Path) -> None:
        if self.exists(key):
            return
        with self._failing("write", key), source.open("rb") as file:
            chunk = max(_CHUNK, os.fstat(file.fileno()).st_size // _CHUNKS)
            obstore.put(self._uploads, key, file, chunk_size=chunk, max_concurrency=_UPLOADS)

    def create(self, key: str, data: bytes) -> bool:
        with self._failing("write", key):
            try:
                obstore.put(self._once, key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def exists(self, key: str) -> bool:
        with self._failing("read", key):
            try:
                obstore.head(self._store, key)
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str) -> list[str]:
        with self._failing("list", prefix):
            return sorted(found["path"] for page in obstore.list(self._store, prefix) for found in page)

    def delete(self, key: str) -> None:
        with self._failing("remove", key):
            obstore.delete(self._store, key)

    def _open(
        self, connecting: timedelta, retrying: timedelta, *, timeout: timedelta,
        read_timeout: timedelta | None = None, retries: int = _RETRIES,
    ) -> S3Store:  # fmt: skip
        options: ClientConfig = {"allow_http": True, "connect_timeout": connecting, "timeout": timeout}
        if read_timeout is not None:
            options["read_timeout"] = read_timeout
        config: S3Config = {"aws_endpoint_url_s3": self.endpoint} if self.endpoint else {}
        return S3Store(
            self.bucket, prefix=self.prefix or None, config=config, client_options=options,
            retry_config={"max_retries": retries, "retry_timeout": retrying},
        )  # fmt: skip

    @contextmanager
    def _failing(self, what: str, key: str) -> Iterator[None]:
        """The library's errors as ours. Theirs go on for pages, and have in them what a store says of a signature."""
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            reason = _reason(error)
            if isinstance(error, FileNotFoundError) and what == "read" and "NoSuchBucket" not in reason:
                raise NoObject(f"{self} has no {key}") from None
            raise StoreError(f"cannot {what} {key} in {self}: {reason}; {_next_step(reason)}") from None


def _parsed(url: str) -> tuple[str, str, str]:
    """Bucket, prefix and endpoint (empty if none is named)."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "@" in parts.netloc:
        raise ConfigError(f"an address of a store has no user or password in it; {_EXPECTED}")
    if parts.scheme != "s3" or not parts.netloc or parts.fragment or asked.keys() - {"endpoint"}:
        raise ConfigError(f"{url} is no address of a store; {_EXPECTED}")
    folders = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if not _BUCKET.fullmatch(parts.netloc) or {"", ".", ".."} & set(folders):
        raise ConfigError(f"{url} has no bucket in it, or an empty folder or dots for one; {_EXPECTED}")
    return parts.netloc, "/".join(folders), asked.get("endpoint", "")


def _status(error: Exception) -> str:
    found = re.search(r"status code: (\d{3})", str(error))
    return found[1] if found else ""


def _reason(error: Exception) -> str:
    """What happened, in a few words of which none can be a secret."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    words = [found[1] for pattern in _REASONS if (found := re.search(pattern, text))]
    if words:
        return ", ".join(dict.fromkeys(words))
    return next((meaning for sign, meaning in _SIGNS.items() if sign in text), type(error).__name__)


_REASONS = (r"status code: (\d{3}(?: [A-Z][A-Za-z]+)*)", r"<Code>(\w+)</Code>", r'message: "([A-Z][\w ]{3,60})"')

_SIGNS = {
    "TimedOut": "no answer in time",
    "dns error": "no such host",
    "IncompleteBody": "the answer broke off",
    "IncompleteMessage": "the answer broke off",
}


def _next_step(reason: str) -> str:
    if "NoSuchBucket" in reason:
        return "make the bucket, or mend the address of the store"
    if reason.startswith(("401", "403")):
        return "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do with this bucket"
    return "check that the endpoint answers from this machine, and try again"
