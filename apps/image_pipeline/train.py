"""Learn the classifier from CIFAR-10, and write it as the ONNX model that the application serves.

    python -m apps.image_pipeline.train --data cifar10-jpg.tar.xz

Needs PyTorch (`pip install -r apps/image_pipeline/training/requirements.txt`). The model that is shipped was made by this.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

try:
    import onnx
    import torch
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    needs = "apps/image_pipeline/training/requirements.txt"
    print(f"error: {missing.name} is not installed; training needs it: pip install -r {needs}", file=sys.stderr)
    sys.exit(2)

from apps.image_pipeline.build import SHIPPED
from apps.image_pipeline.errors import PipelineError
from apps.image_pipeline.labels import NAMES
from apps.image_pipeline.training import dataset
from apps.image_pipeline.training.learning import Plan, learn, predict
from apps.image_pipeline.training.onnx_export import to_onnx


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when the model is written, 2 when the pictures are at fault."""
    given = _parse(arguments)
    console = Console(highlight=False)
    try:
        parts = dataset.read(given.data)
        train, test = parts["train"], parts["test"]
        console.print(f"{len(train.labels):,} pictures to learn from, {len(test.labels):,} to test with")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        plan = replace(Plan(), epochs=given.epochs, seed=given.seed)
        began = time.monotonic()
        columns = (
            TextColumn("learning"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %  loss {task.fields[loss]:.3f}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            bar = progress.add_task("", total=None, loss=0.0)
            network = learn(
                train, plan, device, lambda done, of, loss: progress.update(bar, completed=done, total=of, loss=loss)
            )
        found = predict(network, test.pictures, device)
        model = to_onnx(network.cpu())
        given.out.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, given.out)
    except (PipelineError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_confusion(console, test.labels, found)
    console.print(
        f"accuracy {np.mean(found == test.labels):.2%} on pictures it has not seen, after {time.monotonic() - began:.0f} s "
        f"on {device}; {given.out.stat().st_size / 2**20:.1f} MiB written to {given.out}"
    )
    return 0


def print_confusion(console: Console, truth: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """A row for each label: how often its pictures were taken for each."""
    table = Table(title="Rows: what it is. Columns: what it was taken for.", title_justify="left")
    table.add_column("")
    for label in NAMES:
        table.add_column(label[:5], justify="right")
    counts = np.zeros((len(NAMES),) * 2, np.int64)
    np.add.at(counts, (truth, found), 1)
    for number, label in enumerate(NAMES):
        cells = [f"[bold]{n}[/]" if at == number else str(n or "") for at, n in enumerate(counts[number].tolist())]
        table.add_row(label, *cells)
    console.print(table)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m apps.image_pipeline.train",
        description="Learn the classifier from CIFAR-10 and write it as ONNX. About ten minutes on two cores; a GPU "
        "is used where there is one.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="PATH",
        help="CIFAR-10 as JPEG files in train/<class>/ and test/<class>/: a folder, or a tar archive",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, default=Plan.epochs, help="how often each picture is seen (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of all chance (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        default=SHIPPED,
        metavar="FILE",
        help="the model to write (default: the one that is shipped)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
