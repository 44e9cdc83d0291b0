from __future__ import annotations

from io import StringIO

import numpy as np
from rich.console import Console

from apps.question_search.kmeans import Clustering, Vectors, cluster
from apps.question_search.report import print_clusters, print_recall


def console() -> tuple[Console, StringIO]:
    file = StringIO()
    return Console(file=file, width=80), file


def test_each_cluster_shows_its_size_and_the_question_at_its_centre() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, -1]], np.float32)
    clustering = Clustering(np.array([[0.8, 0.6], [0, -1]], np.float32), np.array([0, 0, 0, 1]))
    screen, file = console()
    print_clusters(screen, ["Left?", "Centre [bold]?", "Right?", "Long? " * 100], vectors, clustering)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in file.getvalue().splitlines() if "│" in line]
    assert rows[0] == ["0", "3", "Centre [bold]?"]
    assert rows[1][:2] == ["1", "1"]
    assert rows[2][:2] == ["", ""]  # the rest of a long question, up to a hundred characters
    assert rows[2][2].endswith("…")
    assert len(rows) == 3
    assert max(map(len, file.getvalue().splitlines())) <= 80


def test_recall_by_the_number_of_clusters_asked() -> None:
    screen, file = console()
    print_recall(screen, {(1, 1): 0.8, (10, 1): 0.75, (1, 2): 0.9, (10, 2): 0.8756})
    rows = [line.replace("│", " ").split() for line in file.getvalue().splitlines() if "│" in line]
    assert rows == [["1", "0.800", "0.750"], ["2", "0.900", "0.876"]]


def test_no_recall_no_table(directions: Vectors) -> None:
    screen, file = console()
    print_recall(screen, {})
    assert file.getvalue() == ""
    print_clusters(screen, ["Why?"], directions[:1], cluster(directions[:1], 1, seed=0))
    assert "Why?" in file.getvalue()
