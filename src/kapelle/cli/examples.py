"""A line to paste: a request that the app's first endpoint understands."""

from __future__ import annotations

import json
import shlex
from typing import Any, get_args, get_origin

from kapelle.declare.apps import AppSpec
from kapelle.gateway.inputs import Inputs, unwrapped

_EXAMPLES: dict[Any, Any] = {str: "Why so serious?", int: 1, float: 0.5, bool: True}


def curl_line(app: AppSpec, url: str) -> str:
    """A curl command for the first POST endpoint whose body is JSON fields; "" when there is none."""
    for endpoint in app.endpoints:
        inputs = Inputs(endpoint)
        if inputs.kind == "json" and not inputs.path:
            body = {one.name: _example(one.annotation) for one in inputs.body if one.required}
            return f"curl -d {shlex.quote(json.dumps(body))} {url}{endpoint.path}"
    return ""


def _example(annotation: Any) -> Any:
    annotation = unwrapped(annotation)
    if get_origin(annotation) is list:
        return [_example(get_args(annotation)[0])]
    return _EXAMPLES.get(annotation, {})
