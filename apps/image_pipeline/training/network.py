"""The classifier: a small convolutional network for pictures of 32 x 32, made for few minutes on few cores.

Its first layer sees patches of 2 x 2 pixels and is not learned: it whitens them, as their statistics say. Three blocks of
two convolutions follow, each of which halves the picture; then the strongest answer of each channel, and a linear layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (32, 96, 160)
PATCH = 2
SCALE = 1 / 9  # of the logits: the last layer begins with small steps


class Block(nn.Module):
    """Two convolutions; the first one's answer is halved in size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.first(x), 2)
        x = nn.functional.gelu(self.first_norm(x))
        return nn.functional.gelu(self.second_norm(self.second(x)))


class Network(nn.Module):
    """Normalised pictures (n x 3 x 32 x 32) to logits (n x 10)."""

    def __init__(self, whitening: Tensor, labels: int = 10) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, len(whitening), PATCH)
        self.whiten.weight.data = whitening
        self.whiten.weight.requires_grad_(False)
        widths = (len(whitening), *WIDTHS)
        self.blocks = nn.ModuleList(Block(*pair) for pair in zip(widths, WIDTHS, strict=False))
        self.head = nn.Linear(WIDTHS[-1], labels, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.whiten:
                # The first filters pass their inputs on: at the beginning, depth costs no signal.
                nn.init.dirac_(module.weight.data[: module.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.whiten(x))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x.amax(dim=(2, 3))) * SCALE
        return logits


def whitening_of(pictures: Tensor, epsilon: float = 5e-4) -> Tensor:
    """Filters (24 x 3 x 2 x 2) that make the patches of normalised pictures uncorrelated and of equal strength."""
    patches = pictures.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + epsilon)).T.reshape(-1, 3, PATCH, PATCH).flip(0)
    # Both signs, for the activation lets only one through.
    return torch.cat([filters, -filters])
