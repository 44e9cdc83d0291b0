"""The page at ``/docs``: a few files of our own in ``assets/``, and nothing from anywhere else.

It reads ``openapi.json`` in the browser. All its links are relative, so that it also works behind a proxy's prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.resources import files

# Nothing but the page's own files runs, loads or is asked; it is shown in no frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the page is made of."""

    content: bytes
    media_type: str


def page(name: str) -> str:
    """The page of the app called ``name``."""
    return _folder.joinpath("page.html").read_text(encoding="utf-8").replace("{{name}}", escape(name))


def assets() -> dict[str, Asset]:
    """What the page loads, by file name."""
    found = {}
    for file in _folder.iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            found[file.name] = Asset(file.read_bytes(), kind)
    return found


_folder = files("kapelle.gateway") / "assets"
