"""The verbs of the command line with their options, read off the functions behind them."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from kapelle.cli import deploy, main, releases, start
from tests.docs.tables import one_line, table

VERBS = {
    "serve": main.serve,
    "status": main.status,
    "call": main.call,
    "config": main.config,
    "bench": main.bench,
    "build": main.build,
    "release build": releases.build_release,
    "release list": releases.list_,
    "release show": releases.show,
    "release diff": releases.diff,
    "release verify": releases.verify,
    "release wait": releases.wait,
    "release publish": releases.publish,
    "release rollback": releases.rollback,
    "release cancel": releases.cancel,
    "release gc": releases.gc,
    "deploy compose": deploy.deploy_compose,
    "deploy swarm": deploy.deploy_swarm,
    "deploy kubernetes": deploy.deploy_kubernetes,
    "down compose": deploy.down_compose,
    "down swarm": deploy.down_swarm,
    "down kubernetes": deploy.down_kubernetes,
    "start gateway": start.gateway,
    "start replica": start.replica,
    "start controller": start.controller,
    "start door": start.door,
}


def commands() -> str:
    """A section per verb."""
    return "\n\n".join(_section(name, verb) for name, verb in VERBS.items())


def _section(name: str, verb: Any) -> str:
    text, _, explained = (inspect.getdoc(verb) or "").partition("Parameters\n----------\n")
    meanings = {
        parameter: one_line(meaning)
        for parameter, meaning in re.findall(r"^(\w+)\n {4}(.*(?:\n {4}.*)*)", explained, re.MULTILINE)
    }
    hints = get_type_hints(verb, include_extras=True)
    parameters = inspect.signature(verb).parameters.values()
    arguments = [one for one in parameters if one.kind is one.POSITIONAL_ONLY]
    options = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    needed = [_option(one, hints[one.name]) for one in options if one.default is one.empty]
    usage = " ".join(["kapelle", name, *map(_argument, arguments), *needed])
    rows = [(f"`{_argument(one)}`", _meaning(hints[one.name]) or meanings[one.name]) for one in arguments]
    rows += [
        (
            f"`{_option(one, hints[one.name])}`",
            (_meaning(hints[one.name]) or meanings[one.name]) + _default(one, hints[one.name]),
        )
        for one in options
    ]
    return "\n\n".join(
        [f"## `{usage}`", text.strip(), *([table(("argument or option", "meaning"), rows)] if rows else [])]
    )


def _argument(one: inspect.Parameter) -> str:
    name = one.name.upper()
    name = f"{name.removesuffix('S')}..." if one.name == "arguments" else name
    return name if one.default is one.empty else f"[{name}]"


def _option(one: inspect.Parameter, hint: Any) -> str:
    flag = f"--{one.name.replace('_', '-')}"
    choices = next((get_args(part) for part in _parts(hint) if get_origin(part) is Literal), ())
    kind = "" if bool in _parts(hint) else " " + ("\\|".join(choices) if choices else one.name.split("_")[-1].upper())
    return f"{flag}{kind}"


def _default(one: inspect.Parameter, hint: Any) -> str:
    """The default as ``--help`` shows it; None and the like are explained by the meaning itself."""
    hidden = any(isinstance(part, Parameter) and part.show_default is False for part in _parts(hint))
    return "" if hidden or one.default in (one.empty, None) else f" Default: `{one.default}`."


def _meaning(hint: Any) -> str:
    found = (part.help for part in _parts(hint) if isinstance(part, Parameter) and part.help)
    return next(found, "")


def _parts(hint: Any) -> list[Any]:
    """A type and all it is made of, metadata of ``Annotated`` included."""
    inner = get_args(hint) if get_origin(hint) is not Literal else ()
    return [hint, *(part for one in inner for part in _parts(one))]
