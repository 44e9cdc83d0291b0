"""What is in the cache is what the manifest says, comes from the store once, and goes when nobody needs it."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapelle.artifacts.cache import Cache, Part
from kapelle.artifacts.manifest import Artifact, File, Manifest, Origin
from kapelle.artifacts.releases import Release
from kapelle.errors import ArtifactError, StoreError


class Store:
    """Contents by digest, in memory; ``asked`` says what was read, and from where on."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []

    def part(self, files: Mapping[str, bytes], name: str = "r1") -> Part:
        """The common files of the artifact of a new release."""
        found = [File(path, len(content), sha256(content)) for path, content in files.items()]
        self.contents.update({sha256(content): content for content in files.values()})
        manifest = Manifest(app="app", artifacts={"index": Artifact(found, [])}, made=Origin("1", 0.0, "here"))
        return Part(Release(name, manifest), "index")

    def read(self, file: File, start: int) -> Iterable[bytes]:
        self.asked.append((file.path, start))
        content = self.contents[file.sha256]
        return (content[at : at + 3] for at in range(start, len(content), 3))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(root: Path, content: bytes) -> Path:
    digest = sha256(content)
    return root / "cache" / "blobs" / digest[:2] / digest


def begun(root: Path, content: bytes, present: bytes) -> Path:
    """What a killed process has left of a download."""
    path = blob(root, content).with_suffix(".part")
    path.parent.mkdir(parents=True)
    path.write_bytes(present)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


names = st.text("abc.-_é", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
trees = st.recursive(
    st.binary(max_size=40), lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4), max_leaves=12
).filter(lambda found: isinstance(found, dict))


def flat(found: Any, below: str = "") -> Iterator[tuple[str, bytes]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from flat(value, f"{below}{name}/")
        else:
            yield f"{below}{name}", value


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_tree_of_files_is_had_as_it_was(found: Any) -> None:
    files, store = dict(flat(found)), Store()
    with tempfile.TemporaryDirectory() as root:
        folder = Cache(Path(root)).get(store.part(files), store.read)
        assert tree(folder) == files
        assert len(store.asked) == len({*files.values()} - {b""}), "each content is fetched once"
        assert not list(Path(root, "locks").glob("?" * 64)), "and the locks of blobs are gone"


def test_what_is_there_is_not_fetched_again(store: Store, cache: Cache) -> None:
    first = cache.get(store.part({"a": b"same", "b": b"other"}), store.read)
    assert cache.get(store.part({"a": b"same", "b": b"other"}), store.read) == first
    second = cache.get(store.part({"c": b"same", "d": b"new"}, "r2"), store.read)
    assert tree(second) == {"c": b"same", "d": b"new"}
    assert sorted(path for path, _ in store.asked) == ["a", "b", "d"]


def test_files_are_links_that_nobody_writes(store: Store, cache: Cache, tmp_path: Path) -> None:
    file = cache.get(store.part({"a": b"content"}), store.read) / "a"
    assert file.samefile(blob(tmp_path, b"content"))
    assert file.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_files_are_copies_where_links_are_impossible(
    store: Store, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    file = cache.get(store.part({"a": b"content"}), store.read) / "a"
    assert file.read_bytes() == b"content"
    assert not file.samefile(blob(tmp_path, b"content"))
    assert file.stat().st_mode & 0o777 == 0o444


def test_a_download_goes_on_where_it_was_interrupted(store: Store, cache: Cache, tmp_path: Path) -> None:
    begun(tmp_path, b"0123456789", b"0123")
    folder = cache.get(store.part({"a": b"0123456789"}), store.read)
    assert tree(folder) == {"a": b"0123456789"}
    assert store.asked == [("a", 4)]


def test_a_download_that_was_complete_is_not_read_again(store: Store, cache: Cache, tmp_path: Path) -> None:
    begun(tmp_path, b"0123456789", b"0123456789")
    assert tree(cache.get(store.part({"a": b"0123456789"}), store.read)) == {"a": b"0123456789"}
    assert store.asked == []


@pytest.mark.parametrize("present", [b"x", b"0123x", b"012345678x", b"0123456789x"])
def test_a_download_of_something_else_is_begun_again(
    store: Store, cache: Cache, tmp_path: Path, present: bytes
) -> None:
    left = begun(tmp_path, b"0123456789", present)
    assert tree(cache.get(store.part({"a": b"0123456789"}), store.read)) == {"a": b"0123456789"}
    assert store.asked[-1] == ("a", 0)
    assert not left.exists()


@pytest.mark.parametrize(("stored", "found"), [(b"012345x789", "has 10 bytes"), (b"01234", "has 5 bytes")])
def test_what_the_store_has_damaged_does_not_appear(
    store: Store, cache: Cache, tmp_path: Path, stored: bytes, found: str
) -> None:
    part = store.part({"sub/a": b"0123456789"})
    store.contents[sha256(b"0123456789")] = stored
    expected = (
        f"r1 is damaged: index/sub/a {found} and SHA-256 {sha256(stored)[:12]}…, expected 10 bytes and SHA-256 "
        f"{sha256(b'0123456789')[:12]}…; `kapelle release verify r1 --target APP` names all such files"
    )
    with pytest.raises(ArtifactError) as caught:
        cache.get(part, store.read)
    assert caught.value.detail == expected
    assert store.asked == [("sub/a", 0)] * 2, "the way here may have been at fault"
    assert tree(tmp_path / "cache" / "releases") == tree(tmp_path / "cache" / "blobs") == {}
    store.contents[sha256(b"0123456789")] = b"0123456789"
    assert tree(cache.get(part, store.read)) == {"sub/a": b"0123456789"}, "once it is mended"


def test_a_damaged_file_of_a_shard_is_named_as_the_release_has_it(store: Store) -> None:
    part = store.part({"a": b"a"})
    files = part.release.manifest.artifacts["index"].common
    manifest = Manifest(app="app", artifacts={"index": Artifact([], [[], [], files])}, made=Origin("1", 0.0, "here"))
    assert (
        "index/shards/002/a is gone," in Part(Release("r1", manifest), "index", 2).damaged(files[0], "is gone").detail
    )


@pytest.mark.parametrize("now", [b"", b"conten", b"contents"])
def test_a_blob_of_another_size_is_fetched_anew(store: Store, cache: Cache, tmp_path: Path, now: bytes) -> None:
    cache.get(store.part({"a": b"content"}), store.read)
    blob(tmp_path, b"content").unlink()
    blob(tmp_path, b"content").write_bytes(now)
    folder = cache.get(store.part({"b": b"content"}, "r2"), store.read)
    assert tree(folder) == {"b": b"content"}
    assert store.asked == [("a", 0), ("b", 0)]


def test_a_full_disk_is_said(store: Store, cache: Cache, tmp_path: Path) -> None:
    # The kernel itself refuses to write to this device: No space left on device.
    full = blob(tmp_path, b"content").with_suffix(".part")
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    part = store.part({"a": b"content"})
    with pytest.raises(StoreError) as caught:
        cache.get(part, store.read)
    assert caught.value.detail == f"cannot write {blob(tmp_path, b'content')}: No space left on device"
    assert tree(tmp_path / "cache" / "releases") == {}
    full.unlink()
    assert tree(cache.get(part, store.read)) == {"a": b"content"}


def test_a_place_that_cannot_be_written_is_said(store: Store, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write .*cache/releases/.*: Not a directory"):
        cache.get(store.part({"a": b"content"}), store.read)


def test_a_store_that_fails_leaves_what_has_come(store: Store, cache: Cache, tmp_path: Path) -> None:
    def fail(file: File, start: int) -> Iterator[bytes]:
        yield b"0123"
        raise StoreError("the connection is gone")

    part = store.part({"a": b"0123456789"})
    with pytest.raises(StoreError, match="the connection is gone"):
        cache.get(part, fail)
    cache.get(part, store.read)
    assert store.asked == [("a", 4)]


def test_after_a_failure_no_other_file_is_begun(store: Store, cache: Cache) -> None:
    asked = []

    def fail(file: File, start: int) -> Iterable[bytes]:
        asked.append(file.path)
        raise StoreError("the connection is gone")

    with pytest.raises(StoreError):
        cache.get(store.part({str(number): bytes([number]) for number in range(100)}), fail)
    assert len(asked) <= 4


def test_manifests_are_kept_for_each_store(store: Store, cache: Cache) -> None:
    one, other = store.part({"a": b"1"}).release, store.part({"a": b"2"}).release
    cache.remember("here", one)
    cache.remember("there", other)
    assert cache.recall("here", "r1") == one
    assert cache.recall("there", "r1") == other
    assert cache.recall("elsewhere", "r1") is cache.recall("here", "r2") is cache.recall("here", "../r1") is None
    cache.remember("here", Release("r1", other.manifest))
    assert cache.recall("here", "r1") == other


def test_a_manifest_that_cannot_be_read_is_none(store: Store, cache: Cache, tmp_path: Path) -> None:
    cache.remember("here", store.part({"a": b"1"}).release)
    (path,) = (tmp_path / "cache" / "manifests").rglob("*.json")
    path.write_text("{")
    assert cache.recall("here", "r1") is None


def test_what_no_kept_release_needs_is_pruned(store: Store, cache: Cache, tmp_path: Path) -> None:
    old, new = store.part({"a": b"shared", "b": b"old"}), store.part({"a": b"shared", "c": b"new"}, "r2")
    for part in (old, new):
        cache.remember("here", part.release)
    gone, stays = cache.get(old, store.read), cache.get(new, store.read)
    unfinished = begun(tmp_path, b"nobody's", b"no")
    cache.prune({new.release.manifest.identity})
    assert not gone.exists()
    assert tree(stays) == {"a": b"shared", "c": b"new"}
    assert [blob(tmp_path, content).exists() for content in (b"shared", b"old", b"new")] == [True, False, True]
    assert not unfinished.exists()
    assert cache.recall("here", "r1") is None
    assert cache.recall("here", "r2") == new.release
    cache.prune({new.release.manifest.identity})
    cache.prune(())
    assert tree(tmp_path / "cache") == {}


def test_a_download_for_a_kept_release_is_not_pruned(store: Store, cache: Cache, tmp_path: Path) -> None:
    part = store.part({"a": b"0123456789"})
    cache.remember("here", part.release)
    begun(tmp_path, b"0123456789", b"0123")
    cache.prune({part.release.manifest.identity})
    cache.get(part, store.read)
    assert store.asked == [("a", 4)]


def test_what_was_taken_a_moment_ago_may_be_spared(store: Store, cache: Cache) -> None:
    old, used, fresh = (store.part({"a": name.encode()}, name) for name in ("r1", "r2", "r3"))
    found = [cache.get(one, store.read) for one in (old, used)]
    for folder in found:
        os.utime(folder.parents[1], (1, 1))
    found.append(cache.get(fresh, store.read))
    cache.get(used, store.read)  # somebody takes it again
    cache.prune((), spared=60.0)
    assert [folder.exists() for folder in found] == [False, True, True]


def test_an_empty_cache_may_be_pruned(cache: Cache) -> None:
    cache.prune(())


def test_what_is_being_fetched_is_not_pruned(store: Store, cache: Cache, tmp_path: Path) -> None:
    other = cache.get(store.part({"z": b"other"}, "r2"), store.read)
    part = store.part({"a": b"0123456789", "b": b"b"})

    def prune(file: File, start: int) -> Iterator[bytes]:
        content = store.contents[file.sha256]
        yield content[:4]
        Cache(tmp_path / "cache").prune(())
        yield content[4:]

    folder = cache.get(part, prune)
    assert tree(folder) == {"a": b"0123456789", "b": b"b"}
    assert not other.exists(), "what nobody fetches went meanwhile"


def test_a_prune_that_was_killed_is_completed(store: Store, cache: Cache, tmp_path: Path) -> None:
    part = store.part({"a": b"a"})
    folder = cache.get(part, store.read)
    identity = part.release.manifest.identity
    half, aside = folder.parents[2] / f".{identity[:16]}", folder.parents[1] / ".incoming-x"
    for left in (half / "index", aside):
        left.mkdir(parents=True)
        (left / "file").write_text("half")
    cache.prune({identity})
    assert not half.exists()
    assert not aside.exists()
    assert tree(folder) == {"a": b"a"}


def test_a_file_that_was_cut_off_since_is_fetched_anew(store: Store, cache: Cache) -> None:
    part = store.part({"a": b"content", "b": b"other"})
    folder = cache.get(part, store.read)
    os.truncate(folder / "a", 3)
    assert tree(cache.get(part, store.read)) == {"a": b"content", "b": b"other"}
