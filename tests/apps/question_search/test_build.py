from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from apps.question_search import build
from apps.question_search.build import default_clusters, main
from apps.question_search.encoder import Encoder
from apps.question_search.shard import Shard

ROOT = build.HERE.parent.parent
LONG = "Why is " + "x" * 10_000 + "?"


def start(*arguments: str | Path, hash_seed: str = "0") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apps.question_search.build", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def questions(sentences: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.txt"
    path.write_text("\n".join([*sentences, LONG, sentences[0], ""]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built(questions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A build's folder and what it printed."""
    out = tmp_path_factory.mktemp("built") / "artifacts"
    process = start("--questions", questions, "--clusters", "3", "--out", out, hash_seed="1")
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    return out, stdout


def test_the_artifacts_answer_questions(built: tuple[Path, str], sentences: list[str]) -> None:
    out, _ = built
    encoder = Encoder(out / "encoder")
    centroids = np.load(out / "index" / "centroids.npy")
    shards = [Shard(folder) for folder in sorted((out / "index" / "shards").iterdir())]
    assert centroids.shape == (3, 384)
    assert centroids.dtype == np.float32
    assert sum(map(len, shards)) == 101
    for sentence, vector in zip(sentences, encoder.embed(sentences), strict=True):
        matches = [shard.nearest(vector)[0] for shard in shards]
        assert max(matches, key=lambda match: match[1])[0] == sentence


def test_the_artifacts_describe_themselves(built: tuple[Path, str]) -> None:
    out, _ = built
    about = json.loads((out / "index" / "about.json").read_text())
    assert (about["questions"], about["clusters"], about["dimension"], about["seed"]) == (101, 3, 384, 0)
    assert sum(about["sizes"]) == 101
    assert set(about["sha256"]) == {"questions", "weights", "tokenizer"}
    assert about["encoder"]["sentences"] == 101
    assert about["encoder"]["mean"] > 0.99


def test_the_build_says_what_it_did(built: tuple[Path, str]) -> None:
    out, stdout = built
    assert "101 questions from" in stdout
    assert "(1 repeated and 0 empty ones left out)" in stdout
    assert "Cosine of int8 to float32 over 101 questions: mean 0.99" in stdout
    assert "Embedding: 100% (101 of 101)" in stdout
    assert "Recall@10" in stdout
    assert "Time: reading 0.0 s, encoder " in stdout
    assert stdout.endswith(f"Written to {out}\n")


def test_builds_are_equal_byte_for_byte(built: tuple[Path, str], questions: Path, tmp_path: Path) -> None:
    out, _ = built
    process = start("--questions", questions, "--clusters", "3", "--out", tmp_path / "again", hash_seed="2")
    assert process.communicate()[1] == ""
    assert contents(tmp_path / "again") == contents(out)


def test_a_second_build_does_nothing(
    built: tuple[Path, str], questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(built[0], tmp_path / "artifacts")
    inode = out.stat().st_ino
    arguments = ["--questions", str(questions), "--clusters", "3", "--out", str(out)]
    assert main(arguments) == 0
    assert "Nothing has changed" in capsys.readouterr().out
    assert out.stat().st_ino == inode
    assert main([*arguments, "--seed", "1"]) == 0
    assert "Written to" in capsys.readouterr().out
    assert out.stat().st_ino != inode
    assert json.loads((out / "index" / "about.json").read_text())["seed"] == 1


def test_a_damaged_build_is_built_again(
    built: tuple[Path, str], questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(built[0], tmp_path / "artifacts")
    (out / "encoder" / "model.onnx").unlink()
    assert main(["--questions", str(questions), "--clusters", "3", "--out", str(out)]) == 0
    assert "Written to" in capsys.readouterr().out
    assert contents(out) == contents(built[0])


def test_an_encoder_that_is_there_is_taken(
    built: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    present = shutil.copytree(built[0], tmp_path / "artifacts")
    monkeypatch.setattr(build.Options, "out", present)
    (tmp_path / "new.csv").write_text("question\n" + "\n".join(f"How much is {n} times {n}?" for n in range(200)))
    arguments = ["--questions", str(tmp_path / "new.csv"), "--out", str(tmp_path / "new")]

    def done(*more: str) -> str:
        shutil.rmtree(tmp_path / "new", ignore_errors=True)
        assert main([*arguments, *more]) == 0
        return capsys.readouterr().out

    said = done()
    assert f"Taking the encoder of {present / 'encoder'}" in said
    assert "Cosine of int8 to float32 over 200 questions" in said
    taken = contents(tmp_path / "new")
    assert json.loads(taken["index/about.json"])["clusters"] == 2
    assert "Exporting the encoder" in done("--force")
    assert contents(tmp_path / "new") == taken
    (present / "encoder" / "model.onnx").write_bytes(b"damaged")
    assert "Exporting the encoder" in done()
    assert contents(tmp_path / "new") == taken


def test_an_encoder_of_other_code_is_not_taken(
    built: tuple[Path, str], questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(built[0], tmp_path / "artifacts")
    path = out / "index" / "about.json"
    about = json.loads(path.read_text())
    about["exported"]["stamp"] = "of older code"
    path.write_text(json.dumps(about))
    assert main(["--questions", str(questions), "--clusters", "2", "--out", str(out)]) == 0
    assert f"Taking the encoder of {out}" not in capsys.readouterr().out


def test_one_question_is_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.csv").write_text("id,title\n7,Why so serious?\n")
    arguments = ["--questions", str(tmp_path / "one.csv"), "--column", "title", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "out/index/shards/000/questions.json").read_text()) == ["Why so serious?"]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], r"questions.csv: cannot be read (No such file or directory)"),
        ("", [], "questions.csv: empty, expected a first line with the names of the columns"),
        ("id,title\n", ["--column", "title"], "questions.csv: holds no question"),
        ("id,title\n1,Why?\n", ["--column", "text"], "has no column 'text'; its columns are: id, title"),
        ("title\nWhy?\nHow?\n", ["--clusters", "3"], "2 questions, too few for 3 clusters; ask for fewer"),
    ],
)
def test_bad_questions_are_one_line_on_stderr(
    content: str | None, arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "questions.csv"
    if content is not None:
        path.write_text(content)
    assert main(["--questions", str(path), "--out", str(tmp_path / "out"), *arguments]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert message in stderr
    assert stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--clusters", "0"], ["--clusters", "many"], ["--seed", "-1"], ["--cluster", "3"]]
)
def test_bad_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--questions", "none.txt"])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").write_text("data")
    assert main(["--questions", str(questions), "--out", str(tmp_path)]) == 2
    assert "is not a folder of artifacts; remove it, or choose another --out" in capsys.readouterr().err
    assert main(["--questions", str(questions), "--out", str(tmp_path / "precious")]) == 2
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_it_finds_things_as_they_were(
    number: signal.Signals, built: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    out = shutil.copytree(built[0], tmp_path / "artifacts")
    with start("--out", out) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("Comparing"):
                process.send_signal(number)
        assert process.stderr.read() == "interrupted; the artifacts are as they were\n"
    assert process.returncode == 130
    assert contents(out) == contents(built[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "tmp"]
    assert [left for left in scratch.iterdir() if left.is_dir()] == []


@pytest.mark.parametrize(
    ("questions", "clusters"), [(1, 1), (127, 1), (1000, 4), (3000, 8), (8000, 8), (20_000, 16), (100_000, 32)]
)
def test_the_number_of_clusters_follows_the_corpus(questions: int, clusters: int) -> None:
    assert default_clusters(questions) == clusters
