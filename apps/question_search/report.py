"""What a build tells its user at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.question_search.kmeans import Clustering, Vectors
from apps.question_search.recall import DEPTHS, PROBES, Recall

LONGEST = 100  # characters of a question in a table


def print_clusters(console: Console, questions: Sequence[str], vectors: Vectors, clustering: Clustering) -> None:
    """Each cluster's size and its most typical question, the nearest to the centroid."""
    table = Table(title="Clusters", title_justify="left")
    table.add_column("Cluster", justify="right", no_wrap=True)
    table.add_column("Questions", justify="right", no_wrap=True)
    table.add_column("Typical question")
    for i, (centroid, size) in enumerate(zip(clustering.centroids, clustering.sizes, strict=True)):
        rows = clustering.members(i)
        typical = questions[int(rows[(vectors[rows] @ centroid).argmax()])]
        if len(typical) > LONGEST:
            typical = typical[: LONGEST - 1] + "…"
        table.add_row(str(i), f"{size:,}", Text(typical))  # not a str: its brackets would be markup
    console.print(table)


def print_recall(console: Console, recall: Recall) -> None:
    """How much of an exact search is found, by the number of clusters asked."""
    if not recall:
        return
    table = Table(title="Found of an exact search", title_justify="left")
    table.add_column("Clusters asked", justify="right")
    for depth in DEPTHS:
        table.add_column(f"Recall@{depth}", justify="right")
    for probes in PROBES:
        if (DEPTHS[0], probes) in recall:
            table.add_row(str(probes), *(f"{recall[depth, probes]:.3f}" for depth in DEPTHS))
    console.print(table)
