"""Settings of a system, each with its default, its meaning and, once loaded, where its value came from.

Sources, later ones win: the defaults here, ``[tool.kapelle]`` of pyproject.toml, ``kapelle.toml``, ``KAPELLE_*``
variables, and the command line. Unknown keys are errors.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from kapelle.clock import seconds
from kapelle.errors import ConfigError

_PREFIX = "KAPELLE_"
_DURATIONS = (
    "request_timeout", "keep_alive", "header_timeout", "body_timeout", "drain_timeout", "start_timeout", "hang_timeout",
    "prepare_timeout", "bake",
)  # fmt: skip

Positive = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[float, msgspec.Meta(gt=0)]
"""A duration within which something has to be done: with 0 nothing ever would be, and "without a limit" is a large one."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings. Durations are seconds (written as ``"30s"`` in files), sizes bytes."""

    host: str = "127.0.0.1"
    """Address the gateways listen on."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    """Port the gateways listen on; 0 takes a free one."""
    grpc_port: Annotated[int, msgspec.Meta(ge=-1, le=65535)] = 0
    """Port of gRPC, where kapelle[grpc] is installed; 0 takes the one after the port of HTTP, -1 serves none."""
    gateways: Positive = 1
    """Gateway processes that share the port."""
    shard_processes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Processes that hold one copy of all shards of a service; 0 chooses by the machine's cores."""
    transport: Literal["unix", "tcp"] = "unix"
    """How gateways reach replicas on this machine: unix or tcp."""
    shared_memory: Annotated[int, msgspec.Meta(ge=0)] = 256 << 20
    """Bytes of memory in which a process lays large arrays for others on this machine; 0 sends them through sockets."""
    expose_services: bool = True
    """Serve the methods of services too, below /services and by the inference protocols; false leaves the app's endpoints."""
    run_dir: str = ""
    """Folder of sockets and records of what runs; empty takes .kapelle/<app> below the current folder."""
    artifacts: str = ""
    """Folder of artifacts; empty takes artifacts/ beside the app's file."""
    release: str = ""
    """Release to begin with, such as r7, or local for the folder of artifacts; empty takes the store's current one."""
    store: str = ""
    """Where releases are kept: a folder, or s3://bucket/prefix; empty takes .kapelle/store/<app> below the current folder."""
    cache: str = ""
    """Folder that releases are fetched to; empty takes .kapelle/cache/<app> below the current folder."""
    prepare_timeout: Limit = 600.0
    """How long all processes may take to load a release that is published, until it is refused."""
    bake: float = 30.0
    """How long a published release is watched beside the one before, which it is rolled back to when it does worse."""
    canary_key: str = ""
    """Header whose value decides who sees a canary, so that each client stays with one release; empty spreads requests."""
    request_timeout: Limit = 30.0
    """Deadline of a request whose endpoint names none."""
    max_body: Positive = 16 << 20
    """Bytes of a request's body at most; more is refused unread."""
    max_requests: Positive = 1024
    """Requests in one gateway at once; more are refused with 429."""
    max_request_bytes: Positive = 512 << 20
    """Bytes of all requests' bodies in one gateway at once; more are refused with 429."""
    max_connections: Positive = 4096
    """Client connections of one gateway at once; more are closed."""
    keep_alive: float = 75.0
    """How long an idle client connection is kept."""
    header_timeout: Limit = 10.0
    """How long a client may take to send a request's head."""
    body_timeout: Limit = 60.0
    """How long a client may take to send a request's body, and to read an answer."""
    drain_timeout: float = 30.0
    """How long running work may take to finish at a stop."""
    start_timeout: Limit = 600.0
    """How long a process may take to load until it counts as failed."""
    hang_timeout: Annotated[float, msgspec.Meta(ge=0.1)] = 10.0
    """How long a process may say nothing until it counts as hung, and is ended."""
    tls_certificate: str = ""
    """PEM file of the certificate chain; empty serves plain HTTP."""
    tls_key: str = ""
    """PEM file of the certificate's private key."""
    peers: str = "{service}"
    """Name under which DNS has the addresses of a service's replicas, where an engine runs them: tasks.{service} on a Swarm."""
    data_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 7100
    """Port at which a replica that an engine runs takes calls."""
    control_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 7101
    """Port at which a process that an engine runs hears the controller."""
    health_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 7102
    """Port at which a process that an engine runs tells its own health and metrics, over HTTP."""
    door: str = ""
    """Folder in which gateways find the door that they share on their machine; empty lets each listen by itself."""
    node: str = ""
    """Name of the machine that a process runs on, so that copies of a shard go to different ones; empty takes the host's."""
    secret_file: str = ""
    """File with the secret that processes of a system show each other over a network."""
    peer_certificate: str = ""
    """PEM file of the certificate that a process shows the others; with peer_key and peer_authority, all of it is TLS."""
    peer_key: str = ""
    """PEM file of that certificate's private key."""
    peer_authority: str = ""
    """PEM file of the authority that has signed the certificates of all processes, and of nothing else."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """Form of the log: json, console (with colours), or auto: console on a terminal, json elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged: debug, info, warning or error."""
    access_log: bool = True
    """Log a line per request."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and, per name, where each value came from."""

    settings: Settings
    origins: dict[str, str]


def load(*, folder: Path, environment: Mapping[str, str], arguments: Mapping[str, Any] | None = None) -> Loaded:
    """The effective settings for the project in ``folder``.

    Raises:
        ConfigError: a key is unknown or a value of the wrong form; the message names the source. Or values do not go
            together.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.__struct_fields__, "default")
    for source, given in _sources(folder, environment, arguments or {}):
        for name, value in given.items():
            values[name] = _checked(name, value, source)
            origins[name] = source
    return Loaded(_together(values), origins)


def _together(values: Mapping[str, Any]) -> Settings:
    """The settings, if their values go together.

    Raises:
        ConfigError: some do not.
    """
    settings = msgspec.convert(values, Settings)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError("tls_certificate and tls_key belong together; one of them is missing")
    among_peers = ("peer_certificate", "peer_key", "peer_authority")
    missing = [name for name in among_peers if not getattr(settings, name)]
    if 0 < len(missing) < len(among_peers):
        raise ConfigError(f"{', '.join(among_peers)} belong together; missing: {', '.join(missing)}")
    most = settings.max_request_bytes // 2  # the other half is kept for other endpoints
    if settings.max_body > most:
        raise ConfigError(
            f"max_body = {settings.max_body}: expected at most {most}, half of max_request_bytes, or no request so large "
            "would ever find room; raise max_request_bytes too"
        )
    return settings


def checked(values: Mapping[str, Any], source: str) -> Settings:
    """The settings that a caller gives, the defaults for all others.

    Raises:
        ConfigError: a name is unknown or a value of the wrong form; the message names ``source``. Or values do not go
            together.
    """
    return _together({name: _checked(name, value, source) for name, value in values.items()})


def _sources(
    folder: Path, environment: Mapping[str, str], arguments: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("pyproject.toml", _table(_table(_toml(folder / "pyproject.toml"), "tool"), "kapelle")),
        ("kapelle.toml", _toml(folder / "kapelle.toml")),
        *(
            (key, {key.removeprefix(_PREFIX).lower(): value})
            for key, value in sorted(environment.items())
            if key.startswith(_PREFIX)
        ),
        ("command line", {name: value for name, value in arguments.items() if value is not None}),
    ]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors of Windows begin a file with a mark
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from None


def _table(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"pyproject.toml: {name} is {found!r}; expected a table, [tool.kapelle]")
    return found


_PLACES = {"pyproject.toml": "directly in [tool.kapelle]", "kapelle.toml": "at the top of the file, in no table"}
_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def _checked(name: str, value: Any, source: str) -> Any:
    field = _FIELDS.get(name)
    if field is None:
        if isinstance(value, dict) and source in _PLACES:
            raise ConfigError(f"{source}: unknown table {name!r}; settings stand {_PLACES[source]}")
        # Not `kapelle config`: it reads the same sources, and would end here as well.
        similar = get_close_matches(name.lower(), _FIELDS, 1)
        known = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(_FIELDS)}"
        raise ConfigError(f"{source}: unknown setting {name!r}; {known}")
    try:
        if name in _DURATIONS:
            is_number = isinstance(value, str) and value.replace(".", "", 1).isdecimal()
            value = float(value) if is_number else seconds(value)
        # strict=False: the environment has only text.
        found = msgspec.convert(value, field.type, strict=not isinstance(value, str))
    except (msgspec.ValidationError, ConfigError) as error:
        # The choices, which msgspec does not name.
        choices = get_args(field.type) if get_origin(field.type) is Literal else ()
        expected = f"expected one of {', '.join(choices)}" if choices else error
        raise ConfigError(f"{source}: {name} = {value!r}: {expected}") from None
    if isinstance(found, str):
        check_text(f"{source}: {name}", found)
    return found


def check_text(what: str, text: str) -> None:
    """See that other processes can be told of ``text``: paths of Linux and variables may be any bytes.

    Raises:
        ConfigError: it cannot be written in UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{what} = {text!r}: expected text in UTF-8") from None
