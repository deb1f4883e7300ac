"""Classifiers and images whose robustness is known in closed form."""

import torch
from torch import Tensor, nn

from descent.io.datasets import Split


class Brightness(nn.Module):
    """Says 1 where the mean pixel is above one half, else 0, surer the further away it is."""

    def forward(self, x: Tensor) -> Tensor:
        excess = 10 * (x.flatten(1).mean(dim=1) - 0.5)
        return torch.stack([-excess, excess], dim=1)


def grey(*levels: float) -> Tensor:
    """Return an image of one grey for each level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 2, 2).clone()


def dominant(classes: int) -> nn.Sequential:
    """Return a model that says k where pixel k, of 50, is the brightest of the first so many."""
    layer = nn.Linear(50, classes, bias=False)
    layer.weight.data = 20 * torch.eye(50)[:classes]
    return nn.Sequential(nn.Flatten(), layer)


def lit(shown: list[int]) -> Tensor:
    """Return a dim image of 5 × 10 pixels for each number, in which the pixel of that number is bright."""
    x = torch.full((len(shown), 50), 0.3)
    x[torch.arange(len(shown)), shown] = 0.7
    return x.view(-1, 1, 5, 10)


DATA = Split(grey(0.30, 0.45, 0.60, 0.90), torch.tensor([0, 0, 1, 0]))  # the last is misclassified
DIRECTION = grey(1.0, 1.0, -1.0, -1.0)
EPSILONS = [0.0, 0.06, 0.15, 0.25]
