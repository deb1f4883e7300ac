"""Draw synthetic garments, the fallback for Fashion-MNIST: the same ten classes as silhouettes.

Every garment is a union of a few shapes. Lengths, angles, texture and brightness vary between images. The tops overlap
in all of these, so their classes cannot be separated perfectly.
"""

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from descent.sources.shapes import SIDE, Numbers, Pen, Points, Raster, cover, inked, union, without

CHUNK = 1000
Garment = tuple[Raster, Raster | float]  # its shape, and how bright its parts are


def top(pen: Pen, length: Numbers, sleeve: Numbers, hem: Numbers, neck: Numbers, bulk: float) -> tuple[Raster, Numbers]:
    """Draw the body and the sleeves of an upper garment; return it with the height of its shoulders."""
    shoulder, chest = pen.between(-0.78, -0.66), pen.between(0.34, 0.46) + bulk
    bottom = (shoulder + length).clamp_max(0.92)
    angle, radius = pen.between(0.15, 0.6), pen.between(0.11, 0.16) + bulk / 3
    body = pen.upright(shoulder, bottom, chest, chest * hem)
    x, y, reach_x, reach_y = chest - 0.06, shoulder + radius, sleeve * angle.sin(), sleeve * angle.cos()
    arms = pen.pair(lambda side: pen.stroke(pen.at(side * x, y), pen.at(side * (x + reach_x), y + reach_y), radius))
    collar = pen.ellipse(pen.at(0.0, shoulder), pen.between(0.14, 0.22), neck)
    return without(union(body, arms), collar), shoulder


def t_shirt(pen: Pen) -> Garment:
    """Short sleeves, straight."""
    sleeve = pen.between(0.15, 0.5)
    return top(pen, pen.between(1.2, 1.6), sleeve, pen.between(0.9, 1.1), pen.between(0.05, 0.25), 0.0)[0], 1.0


def trouser(pen: Pen) -> Garment:
    """Two legs."""
    waist, foot, hip = pen.between(-0.95, -0.8), pen.between(0.75, 0.95), pen.between(0.16, 0.26)
    apart, leg = pen.between(0.12, 0.36), pen.between(0.07, 0.14)
    legs = pen.pair(lambda side: pen.stroke(pen.at(side * hip / 2, waist + hip), pen.at(side * apart, foot - leg), leg))
    return union(legs, pen.upright(waist, waist + 0.35, hip, hip * 1.15)), 1.0


def pullover(pen: Pen) -> Garment:
    """Long sleeves, a band at the hem."""
    sleeve = pen.between(0.75, 1.25)
    return top(pen, pen.between(1.2, 1.6), sleeve, pen.between(0.85, 1.05), pen.between(0.03, 0.18), 0.02)[0], 1.0


def dress(pen: Pen) -> Garment:
    """A narrow bodice, a flared skirt, often no sleeves."""
    shoulder, waist = pen.between(-0.9, -0.75), pen.between(-0.25, 0.05)
    hem, narrow = pen.between(0.7, 0.95), pen.between(0.12, 0.22)
    bodice = pen.upright(shoulder, waist, narrow + pen.between(0.02, 0.16), narrow)
    skirt = pen.upright(waist - 0.05, hem, narrow, narrow + pen.between(0.05, 0.4))
    long = pen.chance(0.4) * pen.between(0.1, 0.9)
    x, y = narrow + 0.05 + long * 0.3, shoulder + 0.14 + long
    arms = pen.pair(lambda side: pen.stroke(pen.at(side * narrow, shoulder + 0.12), pen.at(side * x, y), 0.08))
    collar = pen.ellipse(pen.at(0.0, shoulder), pen.between(0.08, 0.16), pen.between(0.05, 0.25))
    return without(union(bodice, skirt, arms), collar), 1.0


def coat(pen: Pen) -> Garment:
    """Long, long-sleeved, open down the front."""
    shape, shoulder = top(
        pen, pen.between(1.35, 1.75), pen.between(0.8, 1.25), pen.between(0.95, 1.25), pen.between(0.08, 0.3), 0.03
    )
    front = pen.stroke(pen.at(0.0, shoulder), pen.at(pen.between(-0.05, 0.05), 1.0), 0.03)
    return shape, inked(front, pen.between(0.0, 0.8))


def sandal(pen: Pen) -> Garment:
    """A thin sole, a heel, a few straps."""
    ground, heel, sole = pen.between(0.35, 0.6), pen.between(0.02, 0.55), pen.between(0.04, 0.08)
    toe, back = pen.at(-0.85, ground), pen.at(0.75, ground - heel)
    spike = pen.stroke(back, pen.at(0.78, ground), pen.between(0.03, 0.12))
    straps = []
    for place in (-0.5, -0.1, 0.35):
        low = pen.at(place, ground - heel * (place + 0.85) / 1.6)
        high = pen.at(place + pen.between(-0.1, 0.4), ground - heel - pen.between(0.15, 0.55))
        straps.append(pen.stroke(low, high, pen.between(0.03, 0.07)) + 2 * (1 - pen.chance(0.8))[:, None])
    return union(pen.stroke(toe, back, sole), spike, *straps), 1.0


def shirt(pen: Pen) -> Garment:
    """Sleeves of any length, a collar, buttons that do not always show."""
    long = pen.chance(0.65)
    sleeve = long * pen.between(0.75, 1.25) + (1 - long) * pen.between(0.2, 0.55)
    shape, shoulder = top(pen, pen.between(1.25, 1.65), sleeve, pen.between(0.9, 1.12), pen.between(0.05, 0.28), 0.0)
    front = pen.stroke(pen.at(0.0, shoulder), pen.at(0.0, 1.0), 0.02)
    pocket = pen.upright(shoulder + 0.3, shoulder + 0.55, pen.same(0.1), pen.same(0.1))
    pocket = pocket.view(-1, SIDE, SIDE).roll(3, dims=2).flatten(1)  # on the right of the image
    buttons, patch = pen.chance(0.7) * pen.between(0.2, 0.6), pen.chance(0.5) * pen.between(0.1, 0.4)
    return shape, inked(front, buttons) * inked(pocket, patch)


def sneaker(pen: Pen) -> Garment:
    """A low shoe with its toe to the left."""
    shape, ground = shoe(pen, pen.between(0.3, 0.55))
    sole = pen.stroke(pen.at(-0.9, ground), pen.at(0.9, ground), pen.between(0.05, 0.12))
    return union(shape, sole), inked(sole, pen.between(-0.3, 0.6))


def bag(pen: Pen) -> Garment:
    """A box with a handle."""
    lid, base = pen.between(-0.45, 0.0), pen.between(0.5, 0.85)
    wide = pen.between(0.5, 0.88)
    box = pen.upright(lid, base, wide * pen.between(0.8, 1.0), wide)
    width, height, strap = wide * pen.between(0.35, 0.8), pen.between(0.2, 0.5), pen.between(0.04, 0.1)
    handle = pen.ellipse(pen.at(0.0, lid), width, height).abs() - strap[:, None]
    flap = pen.stroke(pen.at(-0.9, lid + 0.3), pen.at(0.9, lid + 0.3), 0.03)
    return union(box, handle), inked(flap, pen.between(0.0, 0.6))


def ankle_boot(pen: Pen) -> Garment:
    """A shoe with a shaft and a heel."""
    shape, ground = shoe(pen, pen.between(0.35, 0.6))
    edge, high = pen.between(0.0, 0.25), pen.between(-0.9, -0.35)
    shaft = pen.polygon(pen.at(edge, high), pen.at(0.85, high), pen.at(0.85, ground), pen.at(edge - 0.15, ground))
    heel = pen.upright(ground, ground + pen.between(0.05, 0.3), pen.same(0.2), pen.same(0.12))
    return union(shape, shaft, heel), 1.0


def shoe(pen: Pen, height: Numbers) -> tuple[Raster, Numbers]:
    """Draw a shoe in profile, toe to the left; return it with the height of the ground."""
    ground, toe = pen.between(0.25, 0.5), pen.between(0.12, 0.25)
    instep, back = pen.between(-0.35, 0.0), height * pen.between(0.9, 1.1)
    upper = pen.at(-0.9, ground - toe), pen.at(instep, ground - height), pen.at(0.85, ground - back)
    return pen.polygon(*upper, pen.at(0.88, ground), pen.at(-0.92, ground)), ground


GARMENTS = (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot)  # in order of the labels


def draw_garments(train: int, test: int, seed: int) -> dict[str, UInt8[Tensor, "..."]]:
    """Draw so many training and test images with balanced classes.

    Returns:
        `train_images`, `test_images` (n × 28 × 28, 0 black to 255 white) and `train_labels`, `test_labels` (n).
    """
    rng = torch.Generator().manual_seed(seed)
    tensors = {}
    for part, count in (("train", train), ("test", test)):
        labels = (torch.arange(count) % len(GARMENTS))[torch.randperm(count, generator=rng)]
        images = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
        for label in range(len(GARMENTS)):
            for index in (labels == label).nonzero().flatten().split(CHUNK):
                images[index] = draw(label, len(index), rng)
        tensors[f"{part}_images"], tensors[f"{part}_labels"] = images, labels.to(torch.uint8)
    return tensors


def draw(label: int, n: int, rng: torch.Generator) -> UInt8[Tensor, "n height width"]:
    """Draw `n` garments of one class."""
    pen = Pen(_canvas(n, rng), rng)
    shape, shade = GARMENTS[label](pen)
    picture = cover(shape) * shade * _cloth(pen)
    noise = 0.02 * torch.randn(picture.shape, generator=rng) * (picture > 0)
    return ((picture + noise).clamp(0, 1) * 255).round().to(torch.uint8).view(n, SIDE, SIDE)


def _canvas(n: int, rng: torch.Generator) -> Points:
    """Return the coordinates of each image's pixels, slightly rotated, stretched and shifted."""
    line = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(1, -1, 2)
    angle = 0.06 * torch.randn(n, generator=rng)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
    stretch = 0.95 + 0.2 * torch.rand(n, 1, 2, generator=rng)
    shift = 0.04 * torch.randn(n, 1, 2, generator=rng)
    return (grid @ turn) * stretch + shift


def _cloth(pen: Pen) -> Raster:
    """Return the brightness of the cloth, with stripes and folds."""
    x, y = pen.points.unbind(-1)
    direction, pitch = pen.chance(0.5)[:, None], pen.between(4.0, 20.0)[:, None]
    depth = (pen.chance(0.35) * pen.between(0.1, 0.5))[:, None]
    stripes = 1 - depth * (0.5 + 0.5 * ((direction * x + (1 - direction) * y) * pitch).sin())
    coarse = torch.rand(pen.n, 1, 5, 5, generator=pen.rng)
    folds = interpolate(coarse, size=(SIDE, SIDE), mode="bilinear").view(pen.n, -1)
    return pen.between(0.45, 1.0)[:, None] * stripes * (0.7 + 0.3 * folds)
