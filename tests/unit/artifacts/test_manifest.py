"""A manifest says exactly which files a release has, and nothing else is taken for one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.artifacts.manifest import Artifact, File, Manifest, Origin, decode, encode, is_name, is_release
from kapelle.errors import ArtifactError

DIGEST = "ab" * 32
MADE = Origin("0.1.0", 1.5, "artifacts")


def manifest(common: list[File] | None = None, shards: list[list[File]] | None = None, name: str = "index") -> Manifest:
    artifact = Artifact(common or [File("centroids.npy", 3, DIGEST)], shards or [])
    return Manifest(app="app", artifacts={name: artifact}, made=MADE)


def changed(**changes: object) -> bytes:
    """The text of a manifest in which some fields are others."""
    return msgspec.json.encode({**msgspec.json.decode(encode(manifest())), **changes})


component = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "shards")
paths = st.lists(component, min_size=1, max_size=3).map("/".join)
files = st.builds(File, paths, st.integers(0, 1 << 40), st.sampled_from([DIGEST, "0" * 64]))


def is_tree(found: list[File]) -> bool:
    """Whether nothing is a file and a folder."""
    return not any(one.path.startswith(f"{other.path}/") for one in found for other in found)


parts = st.lists(files, max_size=3, unique_by=lambda file: file.path).filter(is_tree)


@given(common=parts, shards=st.lists(parts, max_size=3))
def test_what_is_written_is_read(common: list[File], shards: list[list[File]]) -> None:
    one = Manifest(app="app", artifacts={"index": Artifact(common, shards)}, made=MADE)
    assert decode(encode(one), "r1") == one


def test_the_same_content_is_the_same_release() -> None:
    one, later = manifest(), msgspec.structs.replace(manifest(), made=Origin("0.2.0", 9.0, "elsewhere"))
    assert one.identity == later.identity
    other = manifest([File("centroids.npy", 3, "0" * 64)])
    assert other.identity != one.identity
    assert msgspec.structs.replace(one, app="another").identity != one.identity


def test_files_are_named_by_their_place_in_the_whole() -> None:
    one = manifest(shards=[[File("a", 1, DIGEST)], [File("b/c", 2, DIGEST)]])
    assert [path for path, _ in one.files()] == ["index/centroids.npy", "index/shards/000/a", "index/shards/001/b/c"]
    assert one.size == 6


def test_a_newer_format_is_refused_by_its_number() -> None:
    with pytest.raises(ArtifactError, match="r3 has format 2; this Kapelle reads format 1: update Kapelle"):
        decode(changed(format=2, something="new"), "r3")


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/./b", "a\\b", "a\0b", "a\nb", "shards/../x", "x" * 1001],
)
def test_no_file_lies_outside(path: str) -> None:
    with pytest.raises(ArtifactError, match="expected a path inside its artifact"):
        decode(encode(manifest([File(path, 1, DIGEST)])), "r1")


def test_nothing_is_a_file_and_a_folder() -> None:
    with pytest.raises(ArtifactError, match="has 'index/a' as a file and as a folder"):
        decode(encode(manifest([File("a", 1, DIGEST), File("a/b", 1, DIGEST)])), "r1")


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a b"])
def test_artifacts_have_plain_names(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(ArtifactError, match="expected a plain name"):
        decode(encode(manifest(name=name)), "r1")


def test_no_file_is_there_twice() -> None:
    twice = [File("a", 1, DIGEST), File("a", 2, DIGEST)]
    with pytest.raises(ArtifactError, match="the file 'index/a' twice"):
        decode(encode(manifest(twice)), "r1")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"nonsense", b"\xff", b"[]", changed(app=1), changed(more=True), changed(artifacts={"a": {}}),
        encode(manifest([File("a", -1, DIGEST)])), encode(manifest([File("a", 1, "short")])),
    ],
)  # fmt: skip
def test_anything_else_is_no_manifest(text: bytes) -> None:
    with pytest.raises(ArtifactError, match="the manifest of r1 cannot be read"):
        decode(text, "r1")


def test_releases_have_numbers() -> None:
    assert is_release("r1")
    assert not any(is_release(name) for name in ("r0", "r", "1", "r01", "R1", "r1/", "../r1", "r1234567890"))
