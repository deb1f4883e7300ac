"""Draw synthetic garments, the fallback for Fashion-MNIST: the same ten classes as silhouettes.

Lengths, angles, texture and brightness vary between images. The tops overlap in all of these, so their classes cannot
be separated perfectly.
"""

from collections.abc import Sequence
from functools import partial
from math import cos, sin

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

SIDE, CHUNK = 28, 1000
FINE = 4  # Pillow draws no smooth edges, so each pixel is the mean of 4 × 4
Pair = tuple[float, float]  # bounds of a random number, or a point


class Pen:
    """Draws random numbers, and shapes on a black canvas from −1 to 1 in x (to the right) and y (downwards)."""

    def __init__(self, rng: torch.Generator) -> None:
        self.numbers = iter(torch.rand(32, generator=rng).tolist())
        self.canvas = Image.new("L", (SIDE * FINE, SIDE * FINE))
        self.image, self.half = ImageDraw.Draw(self.canvas), SIDE * FINE / 2
        self.wide, self.high = self.between(0.87, 1.05) * self.half, self.between(0.87, 1.05) * self.half

    def between(self, low: float, high: float) -> float:
        """Draw uniformly between two bounds."""
        return low + (high - low) * float(next(self.numbers))

    def pixels(self, points: Sequence[Pair]) -> list[Pair]:
        """Return points of the canvas in pixels."""
        return [(self.half + x * self.wide, self.half + y * self.high) for x, y in points]

    def fill(self, *corners: Pair, ink: float = 1.0) -> None:
        """Fill a polygon."""
        self.image.polygon(self.pixels(corners), round(255 * ink))

    def line(self, radius: float, *points: Pair, ink: float = 1.0) -> None:
        """Draw a line with round ends."""
        pixels = self.pixels(points)
        self.image.line(pixels, round(255 * ink), round(2 * radius * self.half), "curve")
        for end in (pixels[0], pixels[-1]):
            self.image.circle(end, radius * self.half, round(255 * ink))

    def picture(self) -> UInt8[np.ndarray, "height width"]:
        """Return the canvas, slightly turned and shifted."""
        shift = round(self.between(-0.07, 0.07) * self.half), round(self.between(-0.07, 0.07) * self.half)
        return np.asarray(self.canvas.rotate(self.between(-6, 6), translate=shift).reduce(FINE))


def upright(top: float, bottom: float, above: float, below: float) -> list[Pair]:
    """Return the corners, from the lower left, of a symmetric trapezoid of half widths `above` and `below`."""
    return [(-below, bottom), (-above, top), (above, top), (below, bottom)]


def _top(pen: Pen, length: Pair, sleeve: Pair, hem: Pair, neck: Pair, bulk: float = 0, seam: Pair = (0, 0)) -> None:
    shoulder, chest, angle = pen.between(-0.78, -0.66), bulk + pen.between(0.34, 0.46), pen.between(0.15, 0.6)
    bottom, radius = min(shoulder + pen.between(*length), 0.92), bulk / 3 + pen.between(0.11, 0.16)
    x, y, arm, collar = chest - 0.06, shoulder + radius, pen.between(*sleeve), pen.between(0.14, 0.22)
    pen.fill(*upright(shoulder, bottom, chest, chest * pen.between(*hem)))
    pen.line(radius, *upright(y, y + arm * cos(angle), x, x + arm * sin(angle)))
    pen.line(0.025, (0, shoulder), (pen.between(-0.03, 0.03), bottom - 0.05), ink=1 - pen.between(*seam))
    pen.fill(*upright(shoulder - 0.1, shoulder + pen.between(*neck), collar, collar / 2), ink=0)


def _trouser(pen: Pen) -> None:
    waist, foot, hip = pen.between(-0.95, -0.8), pen.between(0.75, 0.95), pen.between(0.16, 0.26)
    apart, leg = pen.between(0.12, 0.36), pen.between(0.07, 0.14)
    pen.line(leg, *upright(waist + hip, foot - leg, hip / 2, apart))
    pen.fill(*upright(waist, waist + 0.35, hip, hip * 1.15))


def _dress(pen: Pen) -> None:
    shoulder, waist, narrow = pen.between(-0.9, -0.75), pen.between(-0.25, 0.05), pen.between(0.12, 0.22)
    arm, neck = pen.between(-1.3, 0.9), pen.between(0.08, 0.16)
    pen.fill(*upright(shoulder, waist, narrow + pen.between(0.02, 0.16), narrow))
    pen.fill(*upright(waist - 0.05, pen.between(0.7, 0.95), narrow, narrow + pen.between(0.05, 0.4)))
    if arm > 0:
        pen.line(0.08, *upright(shoulder + 0.12, shoulder + 0.14 + arm, narrow, narrow + 0.05 + arm * 0.3))
    pen.fill(*upright(shoulder - 0.1, shoulder + pen.between(0.05, 0.25), neck, neck / 2), ink=0)


def _sandal(pen: Pen) -> None:
    ground, heel = pen.between(0.35, 0.6), pen.between(0.02, 0.55)
    pen.line(pen.between(0.04, 0.08), (-0.85, ground), (0.75, ground - heel))
    pen.line(pen.between(0.03, 0.12), (0.75, ground - heel), (0.78, ground))
    for place in (-0.5, -0.1, 0.35):
        if pen.between(0, 1) < 0.8:
            strap = place + pen.between(-0.1, 0.4), ground - heel - pen.between(0.15, 0.55)
            pen.line(pen.between(0.03, 0.07), (place, ground - heel * (place + 0.85) / 1.6), strap)


def _shoe(pen: Pen, height: float) -> float:
    ground, toe, instep = pen.between(0.25, 0.5), pen.between(0.12, 0.25), pen.between(-0.35, 0)
    upper = (-0.9, ground - toe), (instep, ground - height), (0.85, ground - height * pen.between(0.9, 1.1))
    pen.fill(*upper, (0.88, ground), (-0.92, ground))
    return ground


def _sneaker(pen: Pen) -> None:
    ground = _shoe(pen, pen.between(0.3, 0.55))
    pen.line(pen.between(0.05, 0.12), (-0.9, ground), (0.9, ground), ink=pen.between(0.4, 1))


def _ankle_boot(pen: Pen) -> None:
    ground, edge, high = _shoe(pen, pen.between(0.35, 0.6)), pen.between(0, 0.25), pen.between(-0.9, -0.35)
    pen.fill((edge, high), (0.85, high), (0.85, ground), (edge - 0.15, ground))
    pen.fill(*upright(ground, ground + pen.between(0.05, 0.3), 0.2, 0.12))


def _bag(pen: Pen) -> None:
    lid, wide, edge, handle = pen.between(-0.45, 0), pen.between(0.5, 0.88), pen.between(0.8, 1), pen.between(0.35, 0.8)
    pen.line(pen.between(0.04, 0.1), *upright(lid - pen.between(0.2, 0.5), lid, wide * handle * 0.6, wide * handle))
    pen.fill(*upright(lid, pen.between(0.5, 0.85), edge * wide, wide))
    pen.line(0.03, (-edge * wide, lid + 0.3), (edge * wide, lid + 0.3), ink=pen.between(0.4, 1))


GARMENTS = (  # in order of the labels; bounds of lengths, of the hem's share of the chest and of the seam's darkness
    partial(_top, length=(1.2, 1.6), sleeve=(0.15, 0.5), hem=(0.9, 1.1), neck=(0.05, 0.25)),  # T-shirt
    _trouser,
    partial(_top, length=(1.2, 1.6), sleeve=(0.75, 1.25), hem=(0.85, 1.05), neck=(0.03, 0.18), bulk=0.02),  # pullover
    _dress,
    partial(
        _top, length=(1.4, 1.7), sleeve=(0.8, 1.25), hem=(1, 1.2), neck=(0.1, 0.3), bulk=0.03, seam=(0, 0.8)
    ),  # coat
    _sandal,
    partial(_top, length=(1.25, 1.65), sleeve=(0.2, 1.25), hem=(0.9, 1.12), neck=(0.05, 0.28), seam=(0, 0.35)),  # shirt
    _sneaker,
    _bag,
    _ankle_boot,
)


def draw_garments(train: int, test: int, seed: int) -> dict[str, UInt8[Tensor, "..."]]:
    """Draw so many training and test images with balanced classes.

    Returns:
        `train_images`, `test_images` (n × 28 × 28, 0 black to 255 white) and `train_labels`, `test_labels` (n).
    """
    rng = torch.Generator().manual_seed(seed)
    tensors = {}
    for part, count in (("train", train), ("test", test)):
        labels = (torch.arange(count) % len(GARMENTS))[torch.randperm(count, generator=rng)]
        tensors[f"{part}_images"] = torch.cat([draw(some.tolist(), rng) for some in labels.split(CHUNK)])
        tensors[f"{part}_labels"] = labels.to(torch.uint8)
    return tensors


def draw(labels: list[int], rng: torch.Generator) -> UInt8[Tensor, "n height width"]:
    """Draw a garment of each class, of cloth with stripes and folds."""
    pens = [Pen(rng) for _ in labels]
    for pen, label in zip(pens, labels, strict=True):
        GARMENTS[label](pen)
    shapes = torch.from_numpy(np.stack([pen.picture() for pen in pens])) / 255
    brightness, pitch, across, striped, depth = torch.rand(5, len(labels), 1, 1, generator=rng)
    line = torch.linspace(-1, 1, SIDE)
    waves = 0.5 + 0.5 * (torch.where(across < 0.5, line, line[:, None]) * (4 + 16 * pitch)).sin()
    stripes = 1 - (striped < 0.35) * (0.1 + 0.4 * depth) * waves
    folds = interpolate(torch.rand(len(labels), 1, 5, 5, generator=rng), size=(SIDE, SIDE), mode="bilinear")[:, 0]
    pictures: Tensor = shapes * (0.45 + 0.55 * brightness) * stripes * (0.7 + 0.3 * folds)
    noise = 0.02 * torch.randn(pictures.shape, generator=rng) * (shapes > 0)
    return ((pictures + noise).clamp(0, 1) * 255).round().to(torch.uint8)
