"""Learning the classifier: stochastic gradient descent over pictures that are shifted and mirrored anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from apps.image_pipeline.training.dataset import Part
from apps.image_pipeline.training.network import Network, whitening_of

MEAN = (0.4914, 0.4822, 0.4465)  # of the red, green and blue of CIFAR-10's training pictures, from 0 to 1
DEVIATION = (0.2470, 0.2435, 0.2616)
SHIFT = 2  # pixels
SMOOTHING = 0.1  # of the labels
WHITENED = 5000  # pictures whose patches say how to whiten
MEASURED = 1000  # pictures at a time


@dataclass(frozen=True)
class Plan:
    """``rate`` is the highest learning rate for a whole batch, reached after ``warm_up`` of all steps."""

    epochs: int = 12
    batch: int = 250
    rate: float = 0.37
    warm_up: float = 0.2
    momentum: float = 0.85
    decay: float = 0.0005
    seed: int = 0


def normalised(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """n x 32 x 32 x 3 from 0 to 255 as n x 3 x 32 x 32 of mean 0 and deviation 1."""
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return ((x - mean) / deviation).contiguous(memory_format=torch.channels_last)


def learn(part: Part, plan: Plan, device: torch.device, tell: Callable[[int, int, float], None]) -> Network:
    """A network that has seen all pictures ``plan.epochs`` times; ``tell`` hears of each step, of how many, and the loss."""
    torch.manual_seed(plan.seed)
    x, y = normalised(part.pictures, device), torch.from_numpy(part.labels).to(device)
    network = Network(whitening_of(x[:WHITENED])).to(device, memory_format=torch.channels_last)
    learned = [one for one in network.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(
        learned, lr=plan.rate, momentum=plan.momentum, nesterov=True, weight_decay=plan.decay / plan.rate
    )
    steps = plan.epochs * (len(x) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.rate, total_steps=steps, pct_start=plan.warm_up, anneal_strategy="linear", cycle_momentum=False,
        div_factor=5, final_div_factor=100,
    )  # fmt: skip
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    network.train()
    done = 0
    for epoch in range(plan.epochs):
        for rows in _batches(len(x), plan.batch, device):
            loss = loss_of(network(_augmented(x[rows], mirrored=_mirrored(rows, epoch))), y[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            tell(done, steps, float(loss.detach()))
    return network.eval()


@torch.inference_mode()
def predict(network: Network, pictures: NDArray[np.uint8], device: torch.device) -> NDArray[np.int64]:
    """The number of the likeliest label of each picture."""
    network.eval()
    parts = [pictures[at : at + MEASURED] for at in range(0, len(pictures), MEASURED)]
    return np.concatenate([network(normalised(part, device)).argmax(1).cpu().numpy() for part in parts])


def _batches(count: int, size: int, device: torch.device) -> Iterator[Tensor]:
    order = torch.randperm(count, device=device)
    for at in range(0, count - size + 1, size):
        yield order[at : at + size]


def _mirrored(rows: Tensor, epoch: int) -> Tensor:
    """Every second picture, and in the next epoch the others: each is seen as often from both sides."""
    return (rows * 2654435761 // 65536 + epoch) % 2 == 0


def _augmented(x: Tensor, mirrored: Tensor) -> Tensor:
    x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)
    padded = nn.functional.pad(x, (SHIFT,) * 4, mode="reflect")
    side, choices = x.shape[-1], 2 * SHIFT + 1
    shifts = torch.randint(choices * choices, (len(x),), device=x.device)
    out = torch.empty_like(x)
    for shift in range(choices * choices):
        chosen = (shifts == shift).nonzero().squeeze(1)
        down, right = divmod(shift, choices)
        out[chosen] = padded[chosen, :, down : down + side, right : right + side]
    return out.contiguous(memory_format=torch.channels_last)
