"""Turn questions into what the application serves from: an encoder, and an index cut into clusters.

    python -m apps.question_search.build --questions titles.csv --column title
    kapelle release build apps/question_search --questions titles.csv --column title

The same questions, options and library versions give the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import log2, sqrt
from pathlib import Path

import numpy as np
from rich.console import Console

from apps.folders import replacing
from apps.question_search import corpus, index, kmeans, recall, report
from apps.question_search.corpus import Corpus
from apps.question_search.embedding import embed
from apps.question_search.encoder import MODEL, TOKENIZER, Encoder
from apps.question_search.errors import ArtifactError, CorpusError, QuestionSearchError
from apps.question_search.export import Fidelity, compare, export
from apps.question_search.precision import Float32, Int8, Precision
from apps.question_search.progress import progress
from apps.question_search.stamp import stamp
from apps.question_search.weights import TOKENIZER_SHA256, WEIGHTS_SHA256

HERE = Path(__file__).resolve().parent
ENCODER = "encoder"
INDEX = "index"
EXPORTED = "exported"
SAMPLES = "samples"
GOLDEN = 16  # questions at most, by which the app tries an index before it gets traffic
SAMPLE = 256  # questions over which int8 is compared with float32
PRECISIONS: dict[str, Precision] = {"int8": Int8(), "float32": Float32()}


@dataclass(frozen=True)
class Options:
    """What to build from and where to; ``clusters=None`` means as many as suit the corpus."""

    questions: Path = HERE / "corpus"
    column: str | None = None
    clusters: int | None = None
    seed: int = 0
    precision: str = "int8"
    out: Path = HERE / "artifacts"
    force: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when the artifacts are there, 2 when the input or the installation is at fault, 130 when ended.

    SIGTERM ends it as Ctrl-C does: nothing half done stays behind.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        build(_parse(arguments), Console(highlight=False))
    except (QuestionSearchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the artifacts are as they were", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def build(options: Options, console: Console) -> None:
    """Write the artifacts to ``options.out``, all or none, unless they are there already.

    Raises:
        QuestionSearchError: the questions, the weights or the folder to write to are at fault.
    """
    times = _Times()
    with times.stage("reading"):
        loaded = corpus.read(options.questions, options.column)
    count = len(loaded.questions)
    left_out = f"{loaded.duplicates:,} repeated and {loaded.empty:,} empty ones left out"
    console.out(f"{count:,} questions from {options.questions} ({left_out})")
    clusters = options.clusters or default_clusters(count)
    if clusters > count:
        raise CorpusError(f"{options.questions}: {count:,} questions, too few for {clusters:,} clusters; ask for fewer")
    mark = stamp(loaded.digest(), clusters, options.seed, options.precision)
    if not options.force and _is_current(options.out, mark):
        console.out(f"Nothing has changed since {options.out} was built; --force builds it again.")
        return
    _refuse_foreign(options.out)
    precision = options.precision
    present = None if options.force else _present_encoder(precision, options.out, Options.out)
    with replacing(options.out) as fresh:
        with times.stage("encoder"):
            _provide_encoder(fresh / ENCODER, precision, present, console)
        _build(loaded, clusters, options, mark, fresh, console, times)
    console.out(f"Time: {times}")
    console.out(f"Written to {options.out}")


def default_clusters(questions: int) -> int:
    """The power of two nearest to √n / 8: 8 for 2,048 to 8,192 questions, 16 up to 32,768, 32 up to 131,072.

    √n clusters would make a search read the fewest vectors; but each cluster is a process or two, and with an eighth of
    that a search still takes a fraction of the time of embedding its question.
    """
    return 1 << max(0, round(log2(sqrt(questions) / 8)))


def _build(
    loaded: Corpus, clusters: int, options: Options, mark: str, folder: Path, console: Console, times: _Times
) -> None:
    questions, seed, precision = loaded.questions, options.seed, options.precision
    encoder = Encoder(folder / ENCODER)
    about = {"seed": seed, "stamp": mark, "sha256": _inputs(loaded), "precision": precision}
    if precision != "float32":
        console.out("Comparing it with the encoder in float32")
        with times.stage("comparison"):
            fidelity = _compare_with_float32(encoder, questions, seed)
        console.out(
            f"Cosine of {precision} to float32 over {fidelity.sentences} questions: "
            f"mean {fidelity.mean:.4f}, lowest {fidelity.lowest:.4f}"
        )
        about["encoder"] = asdict(fidelity)
    with times.stage("embedding"), progress(console, "Embedding", len(questions)) as advance:
        vectors = embed(encoder, questions, os.cpu_count() or 1, advance)
    with times.stage("clustering"):
        clustering = kmeans.cluster(vectors, clusters, seed)
    with times.stage("recall"):
        measured = recall.measure(vectors, clustering, seed)
    with times.stage("writing"):
        about[EXPORTED] = _exported(folder / ENCODER, precision)
        about[SAMPLES] = _samples(questions, clustering)
        index.write(folder / INDEX, questions, vectors, clustering, about)
    report.print_clusters(console, questions, vectors, clustering)
    report.print_recall(console, measured)


def _provide_encoder(folder: Path, precision: str, present: Path | None, console: Console) -> None:
    if present is None:
        console.out(f"Exporting the encoder in {precision}")
        export(folder, PRECISIONS[precision])
    else:
        console.out(f"Taking the encoder of {present}")
        folder.mkdir()
        for name in (MODEL, TOKENIZER):
            shutil.copyfile(present / name, folder / name)


def _present_encoder(precision: str, *places: Path) -> Path | None:
    """An encoder in one of these folders of artifacts that exporting it now would give again, byte for byte."""
    for place in places:
        with suppress(ArtifactError, OSError):
            if index.read_about(place / INDEX).get(EXPORTED) == _exported(place / ENCODER, precision):
                return place / ENCODER
    return None


def _exported(folder: Path, precision: str) -> dict[str, str]:
    """What an encoder is made of apart from any questions, and the digests of its files."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (MODEL, TOKENIZER)}
    return {"stamp": stamp("", 0, 0, precision), **digests}


def _compare_with_float32(encoder: Encoder, questions: Sequence[str], seed: int) -> Fidelity:
    rows = np.random.default_rng(seed).permutation(len(questions))[:SAMPLE]
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder), Float32())
        return compare(encoder, Encoder(Path(folder)), [questions[int(row)] for row in rows])


def _samples(questions: Sequence[str], clustering: kmeans.Clustering) -> list[str]:
    """The first question of some clusters, evenly chosen."""
    clusters = len(clustering.centroids)
    return [questions[int(clustering.members(i)[0])] for i in range(0, clusters, -(-clusters // GOLDEN))]


def _inputs(loaded: Corpus) -> dict[str, str]:
    return {"questions": loaded.digest(), "weights": WEIGHTS_SHA256, "tokenizer": TOKENIZER_SHA256}


def _is_current(out: Path, mark: str) -> bool:
    try:
        about = index.read_about(out / INDEX)
    except ArtifactError:
        return False
    return about.get("stamp") == mark and all((out / ENCODER / name).is_file() for name in (MODEL, TOKENIZER))


def _refuse_foreign(out: Path) -> None:
    """The build replaces its whole folder: it must not be one with other things in it."""
    if out.is_dir() and ((out / INDEX / index.ABOUT).is_file() or not any(out.iterdir())):
        return
    if out.exists():
        raise ArtifactError(f"{out}: exists, and is not a folder of artifacts; remove it, or choose another --out")


class _Times:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - began

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._seconds.items())
        return f"{stages}; together {sum(self._seconds.values()):.1f} s"


def _parse(arguments: Sequence[str] | None) -> Options:
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="python -m apps.question_search.build",
        description="Build the encoder and the index of questions. Does nothing when they are up to date.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--questions",
        type=Path,
        default=defaults.questions,
        metavar="PATH",
        help="a text file with a question per line, a .csv or .tsv file, or a folder of .txt files; any of them may be "
        "gzipped (default: the corpus of this application)",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help=f"the column of a .csv or .tsv file that holds the questions (default: {corpus.COLUMN}, or the only one)",
    )
    parser.add_argument(
        "--clusters",
        type=_at_least(1),
        metavar="N",
        help="how many clusters (default: by the size of the corpus: 8 for 2,048 to 8,192 questions, 16 up to 32,768)",
    )
    parser.add_argument(
        "--seed", type=_at_least(0), default=defaults.seed, metavar="S", help="of the clustering (default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=defaults.precision,
        help="of the encoder: int8 is a quarter as large and about twice as fast, float32 as trained (default: int8)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=defaults.out,
        metavar="DIR",
        help="the folder to write (default: artifacts, beside this)",
    )
    parser.add_argument("--force", action="store_true", help="build even if nothing has changed, the encoder too")
    return Options(**vars(parser.parse_args(arguments)))


def _at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {lowest}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
