"""Each setting has one value and a known origin; what is unknown or of the wrong form is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from msgspec.structs import fields

from kapelle.cli.config import setting_meanings
from kapelle.config.settings import Loaded, Settings, checked, load
from kapelle.errors import ConfigError


def load_from(
    folder: Path, environment: dict[str, str] | None = None, arguments: dict[str, Any] | None = None
) -> Loaded:
    return load(folder=folder, environment=environment or {}, arguments=arguments)


def test_the_defaults_are_enough(tmp_path: Path) -> None:
    loaded = load_from(tmp_path)
    assert loaded.settings == Settings()
    assert loaded.origins == dict.fromkeys(Settings.__struct_fields__, "default")


def test_every_setting_is_explained() -> None:
    source = Path(load.__code__.co_filename).read_text()
    for name in Settings.__struct_fields__:
        _, _, after = source.partition(f"\n    {name}: ")
        assert after.split("\n")[1].strip().startswith('"""'), f"{name} has no explanation"


def test_the_explanation_of_a_choice_names_all_there_is() -> None:
    meanings = setting_meanings()
    choices = {one.name: get_args(one.type) for one in fields(Settings) if get_origin(one.type) is Literal}
    assert choices.keys() == {"transport", "log_format", "log_level"}
    for name, words in choices.items():
        assert all(word in meanings[name] for word in words), meanings[name]


def test_later_sources_win_and_each_value_knows_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.kapelle]\nport = 1\nhost = "a"\ngateways = 2\nkeep_alive = "1m"\n'
    )
    (tmp_path / "kapelle.toml").write_text('port = 2\nhost = "b"\ngateways = 3\n')
    environment = {"KAPELLE_PORT": "3", "KAPELLE_HOST": "c", "PATH": "/bin", "kapelle_port": "9"}
    loaded = load_from(tmp_path, environment, {"port": 4, "host": None})
    settings = loaded.settings
    assert (settings.port, settings.host, settings.gateways, settings.keep_alive) == (4, "c", 3, 60.0)
    assert {name: loaded.origins[name] for name in ("port", "host", "gateways", "keep_alive", "log_level")} == {
        "port": "command line",
        "host": "KAPELLE_HOST",
        "gateways": "kapelle.toml",
        "keep_alive": "pyproject.toml",
        "log_level": "default",
    }


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("port", "9000", 9000),
        ("port", "0", 0),
        ("access_log", "false", False),
        ("access_log", "1", True),
        ("transport", "tcp", "tcp"),
        ("log_format", "json", "json"),
        ("request_timeout", "250ms", 0.25),
        ("request_timeout", "30", 30.0),
        ("request_timeout", "1.5", 1.5),
        ("run_dir", "", ""),
    ],
)
def test_text_of_the_environment_becomes_the_settings_type(
    tmp_path: Path, name: str, written: str, value: object
) -> None:
    assert getattr(load_from(tmp_path, {f"KAPELLE_{name.upper()}": written}).settings, name) == value


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("port", "http", "KAPELLE_PORT: port = 'http': Expected `int`"),
        ("port", "70000", "KAPELLE_PORT: port = '70000': Expected `int` <= 65535"),
        ("port", "-1", "KAPELLE_PORT: port = '-1': Expected `int` >= 0"),
        ("gateways", "0", "KAPELLE_GATEWAYS: gateways = '0': Expected `int` >= 1"),
        ("access_log", "sometimes", "KAPELLE_ACCESS_LOG: access_log = 'sometimes': Expected `bool`"),
        ("transport", "pigeon", "KAPELLE_TRANSPORT: transport = 'pigeon': expected one of unix, tcp"),
        ("log_level", "loud", "KAPELLE_LOG_LEVEL: log_level = 'loud': expected one of debug, info, warning, error"),
        ("keep_alive", "long", "KAPELLE_KEEP_ALIVE: keep_alive = 'long': 'long' is not a duration"),
        ("keep_alive", "²", "KAPELLE_KEEP_ALIVE: keep_alive = '²': '²' is not a duration"),
        ("node", "caf\udce9", "KAPELLE_NODE: node = 'caf\\udce9': expected text in UTF-8"),
        ("request_timeout", "0s", "KAPELLE_REQUEST_TIMEOUT: request_timeout = 0.0: Expected `float` > 0.0"),
        ("header_timeout", "0", "KAPELLE_HEADER_TIMEOUT: header_timeout = 0.0: Expected `float` > 0.0"),
        ("body_timeout", "0", "KAPELLE_BODY_TIMEOUT: body_timeout = 0.0: Expected `float` > 0.0"),
        ("start_timeout", "0", "KAPELLE_START_TIMEOUT: start_timeout = 0.0: Expected `float` > 0.0"),
        ("prepare_timeout", "0ms", "KAPELLE_PREPARE_TIMEOUT: prepare_timeout = 0.0: Expected `float` > 0.0"),
        ("keep_alive", "-1s", "KAPELLE_KEEP_ALIVE: keep_alive = '-1s': '-1s' is not a duration"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(tmp_path: Path, name: str, written: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_from(tmp_path, {f"KAPELLE_{name.upper()}": written})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('port = "high"', "kapelle.toml: port = 'high': Expected `int`"),
        ("port = 1.5", "kapelle.toml: port = 1.5: Expected `int`, got `float`"),
        ("host = 1", "kapelle.toml: host = 1: Expected `str`, got `int`"),
        ("keep_alive = true", "kapelle.toml: keep_alive = True: True is not a duration"),
        ("keep_alive = -1", "kapelle.toml: keep_alive = -1: a duration cannot be -1"),
        ("keep_alive = inf", "kapelle.toml: keep_alive = inf: a duration cannot be inf"),
        ("access_log = 1", "kapelle.toml: access_log = 1: Expected `bool`, got `int`"),
        ("ports = 1", "kapelle.toml: unknown setting 'ports'; did you mean port?"),
        ("PORT = 1", "kapelle.toml: unknown setting 'PORT'; did you mean port?"),
        ("depth = 1", "kapelle.toml: unknown setting 'depth'; there are host, port, grpc_port, "),
        ("[kapelle]\nport = 1", "kapelle.toml: unknown table 'kapelle'; settings stand at the top of the file"),
        ("[gateway]\nport = 1", "kapelle.toml: unknown table 'gateway'; settings stand at the top of the file"),
        ("request_timeout = 0", "kapelle.toml: request_timeout = 0.0: Expected `float` > 0.0"),
        ("start_timeout = '0s'", "kapelle.toml: start_timeout = 0.0: Expected `float` > 0.0"),
        ("port =", "kapelle.toml: Invalid value"),
    ],
)
def test_a_file_with_mistakes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "kapelle.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_from(tmp_path)
    assert str(refused.value).startswith(message)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kapelle.toml").write_bytes(b'host = "\xff"')
    with pytest.raises(ConfigError, match=r"kapelle.toml: 'utf-8' codec can't decode"):
        load_from(tmp_path)


def test_a_file_of_an_editor_of_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "kapelle.toml").write_bytes(b"\xef\xbb\xbfport = 9\r\n")
    assert load_from(tmp_path).settings.port == 9


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kapelle.toml").mkdir()
    with pytest.raises(ConfigError, match=r"kapelle\.toml cannot be read: Is a directory"):
        load_from(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tool = 1", r"pyproject.toml: tool is 1; expected a table, \[tool.kapelle\]"),
        ("[tool]\nkapelle = 'x'", r"pyproject.toml: kapelle is 'x'; expected a table, \[tool.kapelle\]"),
        ("[tool.kapelle]\nprot = 1", "pyproject.toml: unknown setting 'prot'"),
        ("[tool.kapelle.x]\ny = 1", r"pyproject.toml: unknown table 'x'; settings stand directly in \[tool.kapelle\]"),
    ],
)
def test_a_project_file_with_mistakes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_from(tmp_path)


def test_a_project_file_of_others_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 120\n")
    assert load_from(tmp_path).settings == Settings()


def test_unknown_variables_and_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="KAPELLE_PROT: unknown setting 'prot'"):
        load_from(tmp_path, {"KAPELLE_PROT": "80"})
    with pytest.raises(ConfigError, match="command line: unknown setting 'prot'"):
        load_from(tmp_path, arguments={"prot": 80})


@pytest.mark.parametrize("given", [{"tls_key": "k.pem"}, {"tls_certificate": "c.pem"}])
def test_a_certificate_needs_its_key(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="tls_certificate and tls_key belong together; one of them is missing"):
        load_from(tmp_path, arguments=given)
    assert load_from(tmp_path, arguments={"tls_key": "k.pem", "tls_certificate": "c.pem"}).settings.tls_key == "k.pem"


def test_a_body_that_would_never_find_room_is_not_promised(tmp_path: Path) -> None:
    message = "max_body = 600: expected at most 500, half of max_request_bytes, .*; raise max_request_bytes too"
    with pytest.raises(ConfigError, match=message):
        load_from(tmp_path, arguments={"max_body": 600, "max_request_bytes": 1000})
    with pytest.raises(ConfigError, match=message):
        checked({"max_body": 600, "max_request_bytes": 1000}, "here")
    assert load_from(tmp_path, arguments={"max_body": 500, "max_request_bytes": 1000}).settings.max_body == 500


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]  # frozen: this is what is tested


def test_settings_reach_other_processes_unchanged() -> None:
    settings = Settings(port=1, request_timeout=0.25, access_log=False)
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_settings_that_a_caller_gives() -> None:
    assert checked({"max_body": 5, "drain_timeout": "2s"}, "here") == Settings(max_body=5, drain_timeout=2.0)
    with pytest.raises(ConfigError, match="here: unknown setting 'max_bdy'"):
        checked({"max_bdy": 5}, "here")
    with pytest.raises(ConfigError, match=r"here: max_body = 0: Expected `int` >= 1"):
        checked({"max_body": 0}, "here")
