"""Which endpoint a request is for. Static paths are looked up; paths with ``{names}`` are compared part by part."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import unquote

from kapelle.declare.apps import EndpointSpec

T = TypeVar("T")

InPath = dict[str, str]
NOTHING: InPath = {}


class Routes(Generic[T]):
    """The endpoints of an app, by method and path; ``T`` is what stands for one. HEAD is served where GET is."""

    def __init__(self, endpoints: list[tuple[EndpointSpec, T]]) -> None:
        self._static: dict[tuple[str, str], T] = {}
        self._templates: list[tuple[str, _Template, T]] = []
        self.direct: dict[tuple[str, bytes], T] = {}
        """The targets that need no decoding: most requests look exactly like this."""
        for spec, endpoint in endpoints:
            for method in ("GET", "HEAD") if spec.method == "GET" else (spec.method,):
                if spec.path_parameters:
                    self._templates.append((method, _Template(spec.path), endpoint))
                else:
                    self._static[method, spec.path] = endpoint
                    self.direct[method, spec.path.encode("ascii")] = endpoint

    def find(self, method: str, path: bytes) -> tuple[T | None, InPath]:
        """The endpoint for a percent-encoded path, and the parameters in it, still percent-encoded."""
        text = path.decode("latin-1")
        endpoint = self._static.get((method, unquote(text)))
        if endpoint is not None:
            return endpoint, NOTHING
        parts = text.split("/")
        for known, template, endpoint in self._templates:
            if known == method:
                found = template.match(parts)
                if found is not None:
                    return endpoint, found
        return None, NOTHING

    def allowed(self, path: str) -> list[str]:
        """The methods that are served at a decoded path."""
        parts = path.split("/")
        static = [method for method, known in self._static if known == path]
        return static + [method for method, template, _ in self._templates if template.match(parts) is not None]


class _Template:
    def __init__(self, path: str) -> None:
        self._parts = [(part.startswith("{"), part.strip("{}")) for part in path.split("/")]

    def match(self, parts: list[str]) -> InPath | None:
        if len(parts) != len(self._parts):
            return None
        found: InPath = {}
        for (is_name, known), part in zip(self._parts, parts, strict=True):
            if is_name and part:
                found[known] = part
            elif is_name or unquote(part) != known:
                return None
        return found


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """The percent-encoded path and the query of a request target, in origin or absolute form."""
    if not target.startswith(b"/") and b"://" in target:
        # Absolute form: a proxy's way of asking; the authority is the Host header's business.
        _, _, rest = target.partition(b"://")
        start = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        target = rest[start:] if rest[start : start + 1] == b"/" else b"/" + rest[start:]
    path, _, query = target.partition(b"?")
    return path, query
