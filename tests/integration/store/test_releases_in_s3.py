"""Releases and the pointer to the current one, kept by a server that speaks S3."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import obstore
import pytest
from obstore.store import S3Store

from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Release, Releases
from kapelle.artifacts.s3_objects import S3Objects
from kapelle.core.rollout_messages import Pointer
from kapelle.errors import ArtifactError, StoreError
from tests.unit.artifacts.bucket import Bucket

LARGE = 9 << 20  # more than one part of an upload


def advance(_: int) -> None:
    """Nobody watches the progress."""


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(os.urandom(LARGE))
    (folder / "model" / "empty").touch()
    (folder / "model" / "words").write_text("one")
    return folder


@pytest.fixture
def url(bucket: Bucket) -> str:
    """Where the releases of the app are."""
    return bucket.new_url()


@pytest.fixture
def releases(url: str) -> Releases:
    return Releases(S3Objects(url))


def build(releases: Releases, artifacts: Path) -> tuple[Release, bool]:
    return releases.build("hall", artifacts, ["model"], advance)


def overwrite(url: str, release: Release, path: str, content: bytes) -> None:
    """What no release does, done past the store: replace the object of a file."""
    objects, digest = S3Objects(url), dict(release.manifest.files())[path].sha256
    key = f"{objects.prefix}/blobs/{digest[:2]}/{digest}"
    past = S3Store(objects.bucket, config={"endpoint": objects.endpoint}, client_options={"allow_http": True})
    obstore.head(past, key)  # it is the object that the release has
    obstore.put(past, key, content)


def test_what_is_built_is_verified_and_read(releases: Releases, artifacts: Path) -> None:
    release, new = build(releases, artifacts)
    assert (release.name, new) == ("r1", True)
    releases.verify(release, advance)
    files = dict(release.manifest.files())
    for path in ("model/weights", "model/empty", "model/words"):
        assert b"".join(releases.read(files[path])) == (artifacts / path).read_bytes()
    rest = b"".join(releases.read(files["model/weights"], LARGE - 5))
    assert rest == (artifacts / "model/weights").read_bytes()[-5:]


def test_another_machine_finds_them(url: str, releases: Releases, artifacts: Path) -> None:
    first, _ = build(releases, artifacts)
    (artifacts / "model/words").write_text("two")
    second, _ = build(releases, artifacts)
    there = Releases(S3Objects(url))
    assert there.names == ["r1", "r2"]
    assert there.all() == [first, second]
    assert there.get("r2") == second
    assert build(there, artifacts) == (second, False), "the same content is the same release"
    with pytest.raises(StoreError, match="no release 'r9' in s3://"):
        there.get("r9")


def test_two_builds_at_once_get_a_name_each(releases: Releases, tmp_path: Path) -> None:
    ready = Barrier(2)

    def made(number: int) -> str:
        folder = tmp_path / f"artifacts-{number}"
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "words").write_text(f"number {number}")
        ready.wait()
        release, _ = build(releases, folder)
        return release.name

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(made, range(2))) == ["r1", "r2"]


def test_a_damaged_file_is_named_and_mended(url: str, releases: Releases, artifacts: Path) -> None:
    release, _ = build(releases, artifacts)
    overwrite(url, release, "model/weights", bytes(LARGE))
    overwrite(url, release, "model/words", b"cut")
    with pytest.raises(ArtifactError, match="r1 is damaged") as caught:
        releases.verify(release, advance)
    assert "model/weights has SHA-256" in str(caught.value)
    assert "model/words has SHA-256" in str(caught.value)
    assert "model/empty" not in str(caught.value)
    assert build(releases, artifacts) == (release, False)
    releases.verify(release, advance)


def test_a_truncated_file_is_named(url: str, releases: Releases, artifacts: Path) -> None:
    release, _ = build(releases, artifacts)
    overwrite(url, release, "model/weights", b"short")
    with pytest.raises(ArtifactError, match=rf"model/weights has 5 bytes, expected {LARGE}"):
        releases.verify(release, advance)


def test_a_lost_file_is_named(url: str, releases: Releases, artifacts: Path) -> None:
    release, _ = build(releases, artifacts)
    digest = dict(release.manifest.files())["model/words"].sha256
    S3Objects(url).delete(f"blobs/{digest[:2]}/{digest}")
    with pytest.raises(ArtifactError, match=rf"model/words: s3://.* has no blobs/{digest[:2]}/{digest}"):
        releases.verify(release, advance)


def test_a_deleted_release_leaves_what_others_need(
    url: str, bucket: Bucket, releases: Releases, artifacts: Path
) -> None:
    beside = Releases(S3Objects(bucket.new_url()))  # of another app in the same bucket
    others, _ = build(beside, artifacts)
    first, _ = build(releases, artifacts)
    (artifacts / "model/words").write_text("two!")
    second, _ = build(releases, artifacts)
    assert releases.delete([first]) == len("one")
    assert releases.names == ["r2"]
    releases.verify(second, advance)
    assert releases.delete([second]) == LARGE + len("two!")
    assert S3Objects(url).list("blobs/") == []
    beside.verify(others, advance)


def test_of_two_who_move_the_pointer_one_does(url: str) -> None:
    logs = {name: PointerLog(S3Objects(url)) for name in ("a", "b")}
    ready = Barrier(2)

    def write(name: str, epoch: int) -> bool:
        ready.wait()
        return logs[name].write(Pointer(epoch, f"r{epoch}", author=name), "a test", 1.5)

    with ThreadPoolExecutor(2) as pool:
        for epoch in range(1, 11):
            won = dict(zip(logs, pool.map(write, logs, [epoch, epoch]), strict=True))
            assert sorted(won.values()) == [False, True]
            winner = next(name for name, it in won.items() if it)
            for log in logs.values():
                assert log.read() == Pointer(epoch, f"r{epoch}", author=winner)
    assert logs["a"].numbers == list(range(1, 11))


def test_the_pointer_keeps_its_newest_entries(url: str) -> None:
    log = PointerLog(S3Objects(url))
    assert log.read() == Pointer(0, None)
    for epoch in range(1, 103):
        assert log.write(Pointer(epoch, "r1", author="a"), "a test", float(epoch))
    assert log.numbers == list(range(3, 103))
    assert PointerLog(S3Objects(url)).read().epoch == 102
