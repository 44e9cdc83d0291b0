"""What the methods of a service look like to its callers: code that agrees in this may be mixed, other code may not."""

from __future__ import annotations

import hashlib
import re

from kapelle.declare.services import ServiceSpec

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def interface_of(service: ServiceSpec) -> str:
    """12 hexadecimal digits: the same for the same methods of the same service, however they do their work."""
    lines = [service.name]
    lines += [
        f"{name} {method.kind} {parameter.name}: {parameter.annotation!r} {parameter.required}"
        for name, method in sorted(service.methods.items())
        for parameter in method.signature.parameters
    ]
    lines += [f"{name} {one.kind} -> {one.signature.returns!r}" for name, one in sorted(service.methods.items())]
    # Some things say where they lie in memory, which is nobody's interface.
    text = "\n".join(_ADDRESS.sub("", line) for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
