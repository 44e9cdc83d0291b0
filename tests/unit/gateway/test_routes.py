"""Finding the endpoint for a target."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway.routes import Routes, split_target


@kapelle.app
class App:
    @kapelle.get("/a")
    async def a(self) -> None: ...

    @kapelle.post("/a")
    async def post_a(self) -> None: ...

    @kapelle.get("/a/{name}")
    async def named(self, name: str) -> None: ...

    @kapelle.get("/a/fixed")
    async def fixed(self) -> None: ...

    @kapelle.post("/{kind}/x/{name}")
    async def two(self, kind: str, name: str) -> None: ...

    @kapelle.get("/")
    async def root(self) -> None: ...


def routes() -> Routes[str]:
    spec = app_spec(App)
    assert spec is not None
    return Routes([(one, one.name) for one in spec.endpoints])


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", b"/a", ("a", {})),
        ("HEAD", b"/a", ("a", {})),
        ("POST", b"/a", ("post_a", {})),
        ("PUT", b"/a", (None, {})),
        ("GET", b"/%61", ("a", {})),
        ("GET", b"/", ("root", {})),
        ("GET", b"/a/", (None, {})),
        ("GET", b"/a/fixed", ("fixed", {})),
        ("GET", b"/a/b", ("named", {"name": "b"})),
        ("HEAD", b"/a/b", ("named", {"name": "b"})),
        ("GET", b"/a/b%2Fc", ("named", {"name": "b%2Fc"})),
        ("GET", b"/a/b/c", (None, {})),
        ("POST", b"/k/%78/n", ("two", {"kind": "k", "name": "n"})),
        ("POST", b"/k/y/n", (None, {})),
        ("POST", b"//x/n", (None, {})),
        ("GET", b"*", (None, {})),
        ("GET", b"", (None, {})),
    ],
)
def test_find(method: str, path: bytes, found: tuple[str | None, dict[str, str]]) -> None:
    assert routes().find(method, path) == found


@given(st.text(min_size=1))
def test_any_text_is_one_part_of_a_path(text: str) -> None:
    name, in_path = routes().find("POST", f"/{quote(text, safe='')}/x/n".encode("ascii"))
    assert name == "two"
    assert unquote(in_path["kind"]) == text


def test_direct_targets_are_those_without_parameters() -> None:
    assert set(routes().direct) == {
        (method, path) for path in (b"/a", b"/", b"/a/fixed") for method in ("GET", "HEAD")
    } | {("POST", b"/a")}


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/a", {"GET", "HEAD", "POST"}), ("/a/b", {"GET", "HEAD"}), ("/k/x/n", {"POST"}), ("/nowhere", set())],
)
def test_allowed(path: str, methods: set[str]) -> None:
    allowed = routes().allowed(path)
    assert set(allowed) == methods
    assert len(allowed) == len(methods)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a", b"/a", b""),
        (b"/a?", b"/a", b""),
        (b"/a?b=c?d", b"/a", b"b=c?d"),
        (b"http://h/a?b", b"/a", b"b"),
        (b"http://h", b"/", b""),
        (b"http://h?b=/c", b"/", b"b=/c"),
        (b"/a?to=http://h/b", b"/a", b"to=http://h/b"),
        (b"*", b"*", b""),
    ],
)
def test_split_target(target: bytes, path: bytes, query: bytes) -> None:
    assert split_target(target) == (path, query)
