"""Shapes as signed distances (negative inside), for many images at once.

The canvas reaches from −1 to 1 in x (to the right) and y (downwards).
"""

from collections.abc import Callable
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

SIDE = 28
Points = Float[Tensor, "n pixels 2"]
Raster = Float[Tensor, "n pixels"]  # a signed distance, or a shade, at each pixel
Numbers = Float[Tensor, " n"]  # one for each image


class Pen:
    """Draws random numbers and shapes for `n` images at once."""

    def __init__(self, points: Points, rng: torch.Generator) -> None:
        self.points, self.rng, self.n = points, rng, len(points)

    def between(self, low: float, high: float) -> Numbers:
        """Draw uniformly between two bounds."""
        return low + (high - low) * torch.rand(self.n, generator=self.rng)

    def chance(self, share: float) -> Numbers:
        """Draw 1 with this probability, else 0."""
        return (torch.rand(self.n, generator=self.rng) < share).float()

    def at(self, x: Numbers | float, y: Numbers | float) -> Float[Tensor, "n 2"]:
        """Place a point in each image."""
        return torch.stack([self.same(x), self.same(y)], dim=1)

    def same(self, value: Numbers | float) -> Numbers:
        """Give every image the number, if there is only one."""
        return value if isinstance(value, Tensor) else torch.full((self.n,), value)

    def stroke(self, start: Float[Tensor, "n 2"], end: Float[Tensor, "n 2"], radius: Numbers | float) -> Raster:
        """Measure from a line with round ends."""
        along, offset = (end - start)[:, None], self.points - start[:, None]
        share = (offset * along).sum(-1) / along.square().sum(-1).clamp_min(1e-6)
        distance: Raster = (offset - share.clamp(0, 1)[..., None] * along).norm(dim=-1)
        return distance - self.same(radius)[:, None]

    def polygon(self, *corners: Float[Tensor, "n 2"]) -> Raster:
        """Measure from a convex polygon, its corners in clockwise order as seen on the canvas."""
        sides = []
        for corner, following in zip(corners, [*corners[1:], corners[0]], strict=True):
            edge = following - corner
            outwards = torch.stack([edge[:, 1], -edge[:, 0]], dim=1) / edge.norm(dim=1, keepdim=True).clamp_min(1e-6)
            sides.append(((self.points - corner[:, None]) * outwards[:, None]).sum(-1))
        return torch.stack(sides).amax(dim=0)

    def upright(self, top: Numbers | float, bottom: Numbers | float, above: Numbers, below: Numbers) -> Raster:
        """Measure from a trapezoid, symmetric to the middle, of half widths `above` and `below`."""
        return self.polygon(self.at(-above, top), self.at(above, top), self.at(below, bottom), self.at(-below, bottom))

    def ellipse(self, centre: Float[Tensor, "n 2"], width: Numbers, height: Numbers) -> Raster:
        """Measure, nearly, from an ellipse with these half axes."""
        axes = torch.stack([width, height], dim=1)
        scaled: Raster = ((self.points - centre[:, None]) / axes[:, None]).norm(dim=-1)
        return (scaled - 1) * axes.amin(dim=1)[:, None]

    def pair(self, shape: Callable[[float], Raster]) -> Raster:
        """Unite a shape on the left (−1) with the same on the right (1)."""
        return union(*(shape(side) for side in (-1.0, 1.0)))


def union(*distances: Raster) -> Raster:
    """Measure from several shapes together."""
    return reduce(torch.minimum, distances)


def without(distance: Raster, hole: Raster) -> Raster:
    """Measure from a shape with another cut out of it."""
    return torch.maximum(distance, -hole)


def inked(distance: Raster, strength: Numbers) -> Raster:
    """Shade a seam: 1 away from the shape, darker by `strength` inside it."""
    return 1 - strength[:, None] * cover(distance)


def cover(distance: Raster) -> Raster:
    """Return the share of each pixel that lies inside the shape."""
    return (0.5 - distance * (SIDE / 2)).clamp(0, 1)
