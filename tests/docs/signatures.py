"""The public names with their signatures and docstrings, as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any

import kapelle
import kapelle.client
import kapelle.testing
from kapelle.client import Client

_SECTION = re.compile(r"(Args|Raises|Attributes):")
_ITEM = re.compile(r"([\w*, ]+): (.*)")

DECLARING = (
    "service", "method", "batched", "app", "get", "post", "asgi", "Sharded", "Query", "Upload", "Tensor", "on_startup",
    "on_shutdown", "golden",
)  # fmt: skip
REQUESTS = ("RequestContext", "current_request", "quality")


def declaring() -> str:
    """What services and apps are written with."""
    return "\n\n".join(_entry(kapelle, name, "###") for name in DECLARING)


def requests() -> str:
    """What running code may ask."""
    return "\n\n".join(_entry(kapelle, name, "###") for name in REQUESTS)


def raised() -> str:
    """All errors."""
    names = [name for name in kapelle.__all__ if _is_error(getattr(kapelle, name))]
    return "\n\n".join(_entry(kapelle, name, "###") for name in names)


def testing() -> str:
    """The test kit, with the methods of its systems."""
    parts = []
    for name in ("running", "running_processes", "MemorySystem", "ProcessSystem", "Faults"):
        parts.append(_entry(kapelle.testing, name, "###"))
        thing = getattr(kapelle.testing, name)
        if inspect.isclass(thing):
            # What is inherited comes first; a name appears once.
            members = dict.fromkeys(member for cls in reversed(thing.__mro__[:-1]) for member in vars(cls))
            parts += [_member(thing, member) for member in members if _is_public(thing, member)]
    return "\n\n".join(parts)


def client() -> str:
    """The two clients; their calls are the same, and described once."""
    members = [_member(Client, name) for name in vars(Client) if _is_public(Client, name)]
    return "\n\n".join(
        [_entry(kapelle.client, "Client", "###"), *members, _entry(kapelle.client, "AsyncClient", "###")]
    )


def _is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Exception)


def _is_public(thing: type, name: str) -> bool:
    member = inspect.getattr_static(thing, name)
    documented = bool((getattr(member, "__doc__", None) or "").strip())
    return not name.startswith("_") and documented and (inspect.isfunction(member) or isinstance(member, property))


def _entry(module: Any, name: str, level: str) -> str:
    thing = getattr(module, name)
    path = f"{module.__name__}.{name}"
    if name == "Query":
        # An alias has no docstring at run time; the marker in it has.
        return f"{level} `{path}[T]`\n\n{_text(_ALIAS)}"
    if inspect.isbuiltin(thing):
        return f"{level} `{path}()`\n\n{_text(_CURRENT_REQUEST)}"
    return f"{level} `{path}{_signature(thing)}`\n\n{_text(inspect.getdoc(thing) or '')}"


def _member(thing: type, name: str) -> str:
    member = inspect.getattr_static(thing, name)
    shown = name if isinstance(member, property) else f"{name}{_signature(member, drop_first=True)}"
    return f"- `{shown}`: {_text(inspect.getdoc(member) or '', indent='  ')}"


_ALIAS = "A parameter of type `T` that comes from the query string, also where there is a body."
_CURRENT_REQUEST = "The `RequestContext` of the request that the running code serves; None outside any."


def _signature(thing: Any, *, drop_first: bool = False) -> str:
    parameters = list(inspect.signature(thing).parameters.values())
    if drop_first or (parameters and parameters[0].name in {"cls", "function"}):
        # What is decorated comes by itself.
        parameters = parameters[1:]
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    return str(inspect.Signature(plain)).replace("typing.Any", "Any")


def _text(doc: str, *, indent: str = "") -> str:
    """A docstring in Google's form: its sections become lists."""
    out: list[str] = []
    in_section = False
    for line in doc.replace("``", "`").splitlines():
        heading = _SECTION.fullmatch(line)
        if heading:
            in_section = True
            out.append({"Args": "Options:", "Raises": "Raises:", "Attributes": "Attributes:"}[heading[1]] + "\n")
        elif in_section and line.startswith("    "):
            found = _ITEM.fullmatch(line.strip())
            begins = found is not None and not line.startswith("     ")
            out.append(f"- `{found[1]}`: {found[2]}" if begins and found else f"  {line.strip()}")
        else:
            in_section = in_section and not line
            out.append(line)
    return ("\n".join(out)).replace("\n", f"\n{indent}" if indent else "\n").strip()
