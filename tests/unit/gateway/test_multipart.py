"""Multipart bodies: fields and files by name, and what is wrong with those that cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle import InvalidInput, Upload
from kapelle.gateway.multipart import MAX_PARTS, read_multipart
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Request
from tests.unit.gateway.recorder import make_request

FORM = b"multipart/form-data; boundary=limit"


def form(*parts: bytes, content_type: bytes = FORM) -> Request:
    body = b"".join(b"--limit\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--limit--\r\n"
    return make_request("POST", b"/", body, (b"content-type", content_type))


def test_fields_and_files() -> None:
    fields, files = read_multipart(
        form(
            b'name="a"\r\n\r\none',
            b'name="a"\r\nContent-Type: text/plain\r\n\r\ntw\xc3\xb6',
            b'name="f"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n\x00\r\n--limi',
            b'name="f"; filename=""\r\n\r\n',
        )
    )
    assert fields == {"a": ["one", "twö"]}
    assert files == {
        "f": [Upload("x.png", "image/png", b"\x00\r\n--limi"), Upload("", "application/octet-stream", b"")]
    }


@pytest.mark.parametrize("before", [b"", b"\r\n", b"This is a form.\r\n", b"--other\r\nx --limit\r\n"])
@pytest.mark.parametrize("after", [b"", b"That was it.", b"\r\n--limit\r\n"])
def test_what_is_around_the_parts_is_ignored(before: bytes, after: bytes) -> None:
    request = form(b'name="a"\r\n\r\none')
    request.body = before + request.body + after
    assert read_multipart(request) == ({"a": ["one"]}, {})


near = st.sampled_from([b"\r", b"\r\n", b"\r\n--", b"\r\n--x", b"\r\n--" + b"x" * 69])
"""What may be the beginning of a boundary, and is not."""
large = st.lists(near | st.binary(min_size=1, max_size=4).map(lambda some: some * 3000), max_size=5).map(b"".join)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=60) | large), max_size=6))
def test_files_come_back_as_they_were_sent(sent: list[tuple[str, bytes]]) -> None:
    boundary = b"x" * 70
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n'
        % (boundary, name.encode(), data)
        for name, data in sent
    )
    request = make_request(
        "POST", b"/", body + b"--%b--\r\n" % boundary, (b"content-type", b"multipart/form-data; boundary=" + boundary)
    )
    _, files = read_multipart(request)
    assert {name: [one.data for one in found] for name, found in files.items()} == {
        name: [data for other, data in sent if other == name] for name, _ in sent
    }


@pytest.mark.parametrize(
    ("content_type", "status"),
    [(b"", 415), (b"application/json", 415), (b"multipart/form-data", 415), (b"multipart/form-data; boundary=no", 400)],
)
def test_other_bodies(content_type: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        read_multipart(form(b'name="a"\r\n\r\none', content_type=content_type))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "part",
    [
        b'name="a"\r\nno header\r\n\r\none',
        b'name="a"\r\n%b\r\none' % (b"x: y\r\n" * 100),
        b'name="a"\r\n\x00: 1\r\n\r\n',
    ],
)
def test_malformed_parts(part: bytes) -> None:
    with pytest.raises(HttpError, match="malformed multipart body"):
        read_multipart(form(part))


def test_a_body_must_have_its_end() -> None:
    request = form(b'name="a"\r\n\r\none')
    request.body = request.body[:-8]
    with pytest.raises(HttpError, match="without its closing boundary"):
        read_multipart(request)


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([b"\r\n\r\none"], "form"),
        ([b'name=""\r\n\r\none'], "form"),
        ([b'name="a"\r\n\r\n\xff'], "form.a"),
        ([b'name="a"\r\n\r\none'] * (MAX_PARTS + 1), "form"),
    ],
)
def test_parts_that_do_not_fit(parts: list[bytes], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_multipart(form(*parts))
    assert caught.value.path == path
