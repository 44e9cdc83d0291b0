from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.question_search import corpus
from apps.question_search.build import HERE
from apps.question_search.errors import CorpusError

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
LINES = st.lists(TEXT.filter(lambda text: "\n" not in text and "\0" not in text))
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, content: bytes | str) -> Path:
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def expected(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(question for text in texts if (question := " ".join(text.split()))))


@pytest.mark.parametrize("name", ["questions.txt", "questions", "questions.txt.gz"])
def test_lines_are_stripped_and_repetitions_dropped(name: str, tmp_path: Path) -> None:
    read = corpus.read(write(tmp_path / name, "\N{ZERO WIDTH NO-BREAK SPACE}Why?\r\n\n  How \t so? \nWhy?\n \nWhy not"))
    assert read.questions == ["Why?", "How so?", "Why not"]
    assert (read.empty, read.duplicates) == (2, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", 'id,question\n1,"Why, though?"\n2,"Two\nlines?"\n\n3,"A ""quoted"" one?"\n'),
        ("q.tsv", 'id\tquestion\n1\tWhy, though?\n2\t"Two\nlines?"\n3\t"A ""quoted"" one?"\n'),
        ("q.csv.gz", 'id,question\n1,"Why, though?"\n2,"Two\nlines?"\n3,"A ""quoted"" one?"\n'),
    ],
)
def test_a_column_is_read(name: str, content: str, tmp_path: Path) -> None:
    read = corpus.read(write(tmp_path / name, content), "question")
    assert read.questions == ["Why, though?", "Two lines?", 'A "quoted" one?']


@pytest.mark.parametrize("name", ["Q.CSV", "q.Csv", "Q.CSV.GZ"])
def test_names_may_be_in_capitals(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = b"id,question\n1,Why?\n"
    path.write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    assert corpus.read(path).questions == ["Why?"]
    (tmp_path / "MORE.TXT").write_text("How?\n")
    assert corpus.read(tmp_path).questions == ["How?"]


def test_space_around_the_names_of_columns_is_none_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", "id, question , title\n1, Why?, A title\n")
    assert corpus.read(path).questions == ["Why?"]
    assert corpus.read(path, "title").questions == ["A title"]


def test_the_only_column_needs_no_name(tmp_path: Path) -> None:
    assert corpus.read(write(tmp_path / "q.csv", "title\nWhy?\n")).questions == ["Why?"]


def test_the_column_called_question_needs_no_choice(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", "id,question,title\n1,Why?,A title\n2,How?,Another\n")
    assert corpus.read(path).questions == ["Why?", "How?"]
    assert corpus.read(path, "title").questions == ["A title", "Another"]


@pytest.mark.parametrize(
    ("content", "questions"),
    [
        ("question\nWhy?\n", ["Why?"]),
        ("Why?\nHow?\n", ["Why?", "How?"]),
        ('"Why, though? "\nHow?\n', ["Why, though?", "How?"]),
        ("Why?\n", ["Why?"]),
    ],
)
def test_a_single_column_may_go_without_a_name(content: str, questions: list[str], tmp_path: Path) -> None:
    assert corpus.read(write(tmp_path / "q.csv", content)).questions == questions


def test_rows_may_end_in_empty_cells(tmp_path: Path) -> None:
    assert corpus.read(write(tmp_path / "q.csv", "question\nWhy?,,\n")).questions == ["Why?"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "Third?\nFirst?\n")
    write(tmp_path / "a.txt.gz", "First?\nSecond?")
    write(tmp_path / "readme.md", "Not a question")
    read = corpus.read(tmp_path)
    assert read.questions == ["First?", "Second?", "Third?"]
    assert read.duplicates == 1


@same_folder
@given(lines=LINES)
def test_any_lines_come_back_once_each(tmp_path: Path, lines: list[str]) -> None:
    path = write(tmp_path / "q.txt", "\n".join(["begin", *lines]))
    read = corpus.read(path)
    assert read.questions == expected(["begin", *lines])
    assert len(read.questions) + read.duplicates + read.empty == 1 + len(lines) - (lines[-1:] == [""])


@same_folder
@given(cells=st.lists(TEXT.filter(lambda text: "\0" not in text)), delimiter=st.sampled_from(["csv", "tsv"]))
def test_any_cells_come_back_once_each(tmp_path: Path, cells: list[str], delimiter: str) -> None:
    path = tmp_path / f"q.{delimiter}"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=corpus.DELIMITERS[path.suffix]).writerows(
            [["n", "q"], *enumerate(["begin", *cells])]
        )
    assert corpus.read(path, "q").questions == expected(["begin", *cells])


def test_the_digest_is_of_the_questions_not_of_the_file(tmp_path: Path) -> None:
    text = corpus.read(write(tmp_path / "q.txt", "Why?\nHow?\n")).digest()
    assert corpus.read(write(tmp_path / "q.csv", "q\nWhy?\nWhy?\nHow?\n")).digest() == text
    assert corpus.read(write(tmp_path / "q.txt", "How?\nWhy?\n")).digest() != text


def test_a_question_may_be_long(tmp_path: Path) -> None:
    assert corpus.read(write(tmp_path / "q.txt", "why " * 2500)).questions == [("why " * 2500).strip()]


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("q.txt", "", None, r"q\.txt: holds no question; expected one per line"),
        ("q.txt", "\n \n", None, r"q\.txt: holds no question"),
        ("q.txt", b"Why?\nCaf\xe9?\n", None, r"q\.txt, line 2: not UTF-8 \(byte 0xe9 at offset 3 of the line\)"),
        ("q.csv", b"q\nWhy?\n\xff\n", "q", r"q\.csv, line 3: not UTF-8 \(byte 0xff at offset 0"),
        ("q.txt.gz", b"Why?\n\xff", None, r"q\.txt\.gz, line 2: not UTF-8"),
        ("q.txt", "Why?".encode("utf-16"), None, r"q\.txt, line 1: not UTF-8"),
        ("q.txt", "Why?\n", "title", r"q\.txt: only \.csv and \.tsv files have columns; leave out --column title"),
        ("q.csv", "id,title\n1,Why?\n", "text", r"q\.csv: has no column 'text'; its columns are: id, title"),
        ("q.csv", "id,title\n1,Why?\n", None, r"q\.csv: choose a column with --column; its columns are: id, title"),
        ("q.txt", b"Why?\n\0\1\2", None, r"q\.txt, line 2: a zero byte; expected a text file, in UTF-8"),
        ("q.csv", b"question\nWhy?\0\n", None, r"q\.csv, line 2: a zero byte"),
        ("q.csv", "question\nWhy, though?\n", None, r"q\.csv, line 2: 2 columns, expected 1; put what contains ',' in"),
        ("q.csv", "", "title", r"q\.csv: empty, expected a first line with the names"),
        ("q.csv", "id,title\n1,Why?\n2\n", "title", r"q\.csv, line 3: 1 columns, expected 2"),
        ("q.csv", 'title\n"Why?\n', None, r"q\.csv, line 2: unexpected end of data"),
        (
            "q.csv",
            'title\nHow?\n"Why?\nWho?\n',
            None,
            r"line 4: unexpected end of data; its row begins in line 3: is a",
        ),
        (
            "q.csv",
            'q\n"Why?\n"Who?"\n',
            None,
            r"line 3: ',' expected after '\"'; its row begins in line 2: is a double",
        ),
        (
            "q.csv",
            "question;id\nWhy?;1\n",
            None,
            r"q\.csv: one column, 'question;id'; expected ',' between the columns",
        ),
        ("q.csv", "id;question\n1;Why?\n", "question", r"expected ',' between the columns, not ';'; write it again"),
        ("q.csv", "question\tid\nWhy?\t1\n", None, r"expected ',' between the columns, not '\\t'"),
        ("q.tsv", "question,id\nWhy?,1\n", None, r"expected '\\t' between the columns, not ','"),
        ("q.csv", "title\n" + "x" * 200_000, None, r"q\.csv, line 2: field larger than field limit"),
    ],
)
def test_bad_files_say_where(name: str, content: bytes | str, column: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=message):
        corpus.read(write(tmp_path / name, content), column)


def test_damaged_gzip_data(tmp_path: Path) -> None:
    path = tmp_path / "q.txt.gz"
    data = gzip.compress("\n".join(f"Why {n}?" for n in range(1000)).encode())
    path.write_bytes(data[:-20])
    with pytest.raises(CorpusError, match="damaged gzip data after line"):
        corpus.read(path)
    path.write_bytes(data[:100] + b"damage" + data[106:])
    with pytest.raises(CorpusError, match=r"damaged gzip data|cannot be read"):
        corpus.read(path)
    path.write_bytes(b"Why?\n")
    with pytest.raises(CorpusError, match=r"cannot be read \(Not a gzipped file"):
        corpus.read(path)


def test_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.txt: cannot be read \(No such file"):
        corpus.read(tmp_path / "none.txt")
    with pytest.raises(CorpusError, match=r"holds no \.txt or \.txt\.gz file"):
        corpus.read(tmp_path)


def test_the_default_corpus_is_wide_and_clean() -> None:
    read = corpus.read(HERE / "corpus")
    assert len(read.questions) >= 3000
    assert len(list((HERE / "corpus").glob("*.txt"))) >= 20
    assert (read.empty, read.duplicates) == (0, 0)
    assert [question for question in read.questions if not question.endswith("?")] == []
