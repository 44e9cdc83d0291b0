"""Reading questions: a text file (one per line), a CSV or TSV file (one column of it), or a folder of text files.

Any of them may be gzipped. A CSV file begins with the names of its columns; where it has one column and its first line ends
in a question mark, that is a question, too. Runs of white space become one space; empty and repeated questions are
dropped and counted.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from apps.question_search.errors import CorpusError

COLUMN = "question"  # taken where there are several and none is chosen
DELIMITERS = {".csv": ",", ".tsv": "\t"}
OTHERS = ";\t,|"  # what else is seen between columns
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass
class Corpus:
    """Distinct questions in the order of their first appearance, and how many were dropped."""

    questions: list[str] = field(default_factory=list)
    empty: int = 0
    duplicates: int = 0

    def digest(self) -> str:
        """SHA-256 of the questions: the same for the same questions, wherever they were read."""
        return hashlib.sha256("\n".join(self.questions).encode()).hexdigest()


def read(path: Path, column: str | None = None) -> Corpus:
    """The questions in ``path``; ``column`` names the one to read of a CSV or TSV file with several, else ``question``.

    Raises:
        CorpusError: nothing is there, it is no text, the column does not exist, or no question is left.
    """
    files = _text_files(path) if path.is_dir() else [path]
    corpus = _distinct(text for file in files for text in _questions(file, column))
    if not corpus.questions:
        raise CorpusError(f"{path}: holds no question; expected one per line")
    return corpus


def _distinct(texts: Iterable[str]) -> Corpus:
    corpus = Corpus()
    seen: set[str] = set()
    for text in texts:
        question = " ".join(text.split())
        if not question:
            corpus.empty += 1
        elif question in seen:
            corpus.duplicates += 1
        else:
            seen.add(question)
            corpus.questions.append(question)
    return corpus


def _text_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.name.lower().endswith((".txt", ".txt.gz")))
    if not files:
        raise CorpusError(f"{folder}: holds no .txt or .txt.gz file")
    return files


def _questions(path: Path, column: str | None) -> Iterator[str]:
    # A name may be written in capitals: QUESTIONS.CSV is not a list of lines.
    delimiter = DELIMITERS.get((path.with_suffix("") if _is_gzipped(path) else path).suffix.lower())
    if delimiter is not None:
        yield from _cells(path, delimiter, column)
    elif column is None:
        yield from _lines(path)
    else:
        raise CorpusError(f"{path}: only .csv and .tsv files have columns; leave out --column {column}")


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path) if _is_gzipped(path) else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode()
                if "\0" in text:
                    raise CorpusError(f"{path}, line {number}: a zero byte; expected a text file, in UTF-8")
                yield text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
    except UnicodeDecodeError as error:
        seen = f"byte 0x{error.object[error.start]:02x} at offset {error.start} of the line"
        raise CorpusError(f"{path}, line {number}: not UTF-8 ({seen}); expected a text file, in UTF-8") from error
    except (EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: damaged gzip data after line {number} ({error})") from error
    except OSError as error:  # gzip.BadGzipFile is one too, without a strerror
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _cells(path: Path, delimiter: str, column: str | None) -> Iterator[str]:
    rows = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    began = 1
    try:
        names = [name.strip() for name in next(rows, [])]
        _refuse_other_delimiters(path, names, delimiter)
        index = _column_index(path, names, None if column is None else column.strip())
        if column is None and len(names) == 1 and names[0].endswith("?"):
            yield names[0]
        began = rows.line_num + 1
        for row in rows:
            if row and (len(row) <= index or any(row[len(names) :])):
                quoting = "" if len(row) <= index else f"; put what contains {delimiter!r} in double quotes"
                raise CorpusError(f"{path}, line {rows.line_num}: {len(row)} columns, expected {len(names)}{quoting}")
            yield row[index] if row else ""
            began = rows.line_num + 1
    except csv.Error as error:
        # A double quote that is not closed takes in all lines up to the next one: where it is noticed is not where it is.
        since = (
            f"; its row begins in line {began}: is a double quote not closed there?" if rows.line_num > began else ""
        )
        raise CorpusError(f"{path}, line {rows.line_num}: {error}{since}") from error


def _refuse_other_delimiters(path: Path, names: list[str], delimiter: str) -> None:
    """Whole rows are not taken for questions where a spreadsheet has written, say, semicolons."""
    if len(names) != 1 or names[0].endswith("?"):
        return
    for other in OTHERS:
        if other != delimiter and other in names[0]:
            raise CorpusError(
                f"{path}: one column, {names[0]!r}; expected {delimiter!r} between the columns, not {other!r}; write it "
                "again like that"
            )


def _column_index(path: Path, names: list[str], column: str | None) -> int:
    if column is None and len(names) == 1:
        return 0
    if column is None and COLUMN in names:
        return names.index(COLUMN)
    if column in names:
        return names.index(column)
    if not names:
        raise CorpusError(f"{path}: empty, expected a first line with the names of the columns")
    problem = "choose a column with --column" if column is None else f"has no column {column!r}"
    raise CorpusError(f"{path}: {problem}; its columns are: {', '.join(names)}")
