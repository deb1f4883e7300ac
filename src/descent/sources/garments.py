"""Draw synthetic garments, the fallback for Fashion-MNIST: the same ten classes as silhouettes.

Every garment is a union of a few shapes. Lengths, angles, texture and brightness vary between images. The tops overlap
in all of these, so their classes cannot be separated perfectly.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from descent.sources.shapes import SIDE, Numbers, Pencil, Points, Raster, cover, inked, union, without

CHUNK = 1000


def top(
    pencil: Pencil, length: Numbers, sleeve: Numbers, hem: Numbers, neck: Numbers, bulk: float
) -> tuple[Raster, Numbers]:
    """Draw the body and the sleeves of an upper garment; return it with the height of its shoulders."""
    shoulder, chest = pencil.between(-0.78, -0.66), pencil.between(0.34, 0.46) + bulk
    bottom = (shoulder + length).clamp_max(0.92)
    angle, radius = pencil.between(0.15, 0.6), pencil.between(0.11, 0.16) + bulk / 3
    body = pencil.upright(shoulder, bottom, chest, chest * hem)
    reach_x, reach_y = sleeve * angle.sin(), sleeve * angle.cos()
    arms = pencil.pair(
        lambda side: pencil.stroke(
            pencil.at(side * (chest - 0.06), shoulder + radius),
            pencil.at(side * (chest - 0.06 + reach_x), shoulder + radius + reach_y),
            radius,
        )
    )
    collar = pencil.ellipse(pencil.at(0.0, shoulder), pencil.between(0.14, 0.22), neck)
    return without(union(body, arms), collar), shoulder


def t_shirt(pencil: Pencil) -> tuple[Raster, Raster]:
    """Short sleeves, straight."""
    sleeve = pencil.between(0.15, 0.5)
    shape, _ = top(pencil, pencil.between(1.2, 1.6), sleeve, pencil.between(0.9, 1.1), pencil.between(0.05, 0.25), 0.0)
    return shape, torch.ones_like(shape)


def trouser(pencil: Pencil) -> tuple[Raster, Raster]:
    """Two legs."""
    waist, foot, hip = pencil.between(-0.95, -0.8), pencil.between(0.75, 0.95), pencil.between(0.16, 0.26)
    apart, leg = pencil.between(0.12, 0.36), pencil.between(0.07, 0.14)
    legs = pencil.pair(
        lambda side: pencil.stroke(pencil.at(side * hip / 2, waist + hip), pencil.at(side * apart, foot - leg), leg)
    )
    shape = union(legs, pencil.upright(waist, waist + 0.35, hip, hip * 1.15))
    return shape, torch.ones_like(shape)


def pullover(pencil: Pencil) -> tuple[Raster, Raster]:
    """Long sleeves, a band at the hem."""
    sleeve = pencil.between(0.75, 1.25)
    shape, _ = top(
        pencil, pencil.between(1.2, 1.6), sleeve, pencil.between(0.85, 1.05), pencil.between(0.03, 0.18), 0.02
    )
    return shape, torch.ones_like(shape)


def dress(pencil: Pencil) -> tuple[Raster, Raster]:
    """A narrow bodice, a flared skirt, often no sleeves."""
    shoulder, waist = pencil.between(-0.9, -0.75), pencil.between(-0.25, 0.05)
    hem, narrow = pencil.between(0.7, 0.95), pencil.between(0.12, 0.22)
    bodice = pencil.upright(shoulder, waist, narrow + pencil.between(0.02, 0.16), narrow)
    skirt = pencil.upright(waist - 0.05, hem, narrow, narrow + pencil.between(0.05, 0.4))
    long = pencil.chance(0.4) * pencil.between(0.1, 0.9)
    arms = pencil.pair(
        lambda side: pencil.stroke(
            pencil.at(side * narrow, shoulder + 0.12),
            pencil.at(side * (narrow + 0.05 + long * 0.3), shoulder + 0.14 + long),
            0.08,
        )
    )
    collar = pencil.ellipse(pencil.at(0.0, shoulder), pencil.between(0.08, 0.16), pencil.between(0.05, 0.25))
    shape = without(union(bodice, skirt, arms), collar)
    return shape, torch.ones_like(shape)


def coat(pencil: Pencil) -> tuple[Raster, Raster]:
    """Long, long-sleeved, open down the front."""
    shape, shoulder = top(
        pencil,
        pencil.between(1.35, 1.75),
        pencil.between(0.8, 1.25),
        pencil.between(0.95, 1.25),
        pencil.between(0.08, 0.3),
        0.03,
    )
    front = pencil.stroke(pencil.at(0.0, shoulder), pencil.at(pencil.between(-0.05, 0.05), 1.0), 0.03)
    return shape, inked(front, pencil.between(0.0, 0.8))


def sandal(pencil: Pencil) -> tuple[Raster, Raster]:
    """A thin sole, a heel, a few straps."""
    ground, heel, sole = pencil.between(0.35, 0.6), pencil.between(0.02, 0.55), pencil.between(0.04, 0.08)
    toe, back = pencil.at(-0.85, ground), pencil.at(0.75, ground - heel)
    spike = pencil.stroke(back, pencil.at(0.78, ground), pencil.between(0.03, 0.12))
    straps = []
    for place in (-0.5, -0.1, 0.35):
        low = pencil.at(place, ground - heel * (place + 0.85) / 1.6)
        high = pencil.at(place + pencil.between(-0.1, 0.4), ground - heel - pencil.between(0.15, 0.55))
        straps.append(pencil.stroke(low, high, pencil.between(0.03, 0.07)) + 2 * (1 - pencil.chance(0.8))[:, None])
    shape = union(pencil.stroke(toe, back, sole), spike, *straps)
    return shape, torch.ones_like(shape)


def shirt(pencil: Pencil) -> tuple[Raster, Raster]:
    """Sleeves of any length, a collar, buttons that do not always show."""
    long = pencil.chance(0.65)
    sleeve = long * pencil.between(0.75, 1.25) + (1 - long) * pencil.between(0.2, 0.55)
    shape, shoulder = top(
        pencil, pencil.between(1.25, 1.65), sleeve, pencil.between(0.9, 1.12), pencil.between(0.05, 0.28), 0.0
    )
    front = pencil.stroke(pencil.at(0.0, shoulder), pencil.at(0.0, 1.0), 0.02)
    pocket = pencil.upright(shoulder + 0.3, shoulder + 0.55, pencil.same(0.1), pencil.same(0.1))
    pocket = pocket.view(-1, SIDE, SIDE).roll(3, dims=2).flatten(1)  # on the right of the image
    buttons, patch = pencil.chance(0.7) * pencil.between(0.2, 0.6), pencil.chance(0.5) * pencil.between(0.1, 0.4)
    return shape, inked(front, buttons) * inked(pocket, patch)


def sneaker(pencil: Pencil) -> tuple[Raster, Raster]:
    """A low shoe with its toe to the left."""
    shape, ground = shoe(pencil, pencil.between(0.3, 0.55))
    sole = pencil.stroke(pencil.at(-0.9, ground), pencil.at(0.9, ground), pencil.between(0.05, 0.12))
    return union(shape, sole), inked(sole, pencil.between(-0.3, 0.6))


def bag(pencil: Pencil) -> tuple[Raster, Raster]:
    """A box with a handle."""
    lid, base = pencil.between(-0.45, 0.0), pencil.between(0.5, 0.85)
    wide = pencil.between(0.5, 0.88)
    box = pencil.upright(lid, base, wide * pencil.between(0.8, 1.0), wide)
    width, height, strap = wide * pencil.between(0.35, 0.8), pencil.between(0.2, 0.5), pencil.between(0.04, 0.1)
    handle = pencil.ellipse(pencil.at(0.0, lid), width, height).abs() - strap[:, None]
    flap = pencil.stroke(pencil.at(-0.9, lid + 0.3), pencil.at(0.9, lid + 0.3), 0.03)
    return union(box, handle), inked(flap, pencil.between(0.0, 0.6))


def ankle_boot(pencil: Pencil) -> tuple[Raster, Raster]:
    """A shoe with a shaft and a heel."""
    shape, ground = shoe(pencil, pencil.between(0.35, 0.6))
    edge, high = pencil.between(0.0, 0.25), pencil.between(-0.9, -0.35)
    shaft = pencil.polygon(
        pencil.at(edge, high), pencil.at(0.85, high), pencil.at(0.85, ground), pencil.at(edge - 0.15, ground)
    )
    heel = pencil.upright(ground, ground + pencil.between(0.05, 0.3), pencil.same(0.2), pencil.same(0.12))
    return union(shape, shaft, heel), torch.ones_like(shape)


def shoe(pencil: Pencil, height: Numbers) -> tuple[Raster, Numbers]:
    """Draw a shoe in profile, toe to the left; return it with the height of the ground."""
    ground, toe = pencil.between(0.25, 0.5), pencil.between(0.12, 0.25)
    instep = pencil.between(-0.35, 0.0)
    shape = pencil.polygon(
        pencil.at(-0.9, ground - toe),
        pencil.at(instep, ground - height),
        pencil.at(0.85, ground - height * pencil.between(0.9, 1.1)),
        pencil.at(0.88, ground),
        pencil.at(-0.92, ground),
    )
    return shape, ground


GARMENTS: Sequence[Callable[[Pencil], tuple[Raster, Raster]]] = (
    t_shirt,
    trouser,
    pullover,
    dress,
    coat,
    sandal,
    shirt,
    sneaker,
    bag,
    ankle_boot,
)


def draw_garments(train: int, test: int, seed: int) -> dict[str, UInt8[Tensor, "..."]]:
    """Draw a training set and a test set with balanced classes.

    Args:
        train: Training images.
        test: Test images.
        seed: Of all random numbers.

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
    pencil = Pencil(_canvas(n, rng), rng)
    shape, shade = GARMENTS[label](pencil)
    picture = cover(shape) * shade * _cloth(pencil)
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


def _cloth(pencil: Pencil) -> Raster:
    """Return the brightness of the cloth, with stripes and folds."""
    x, y = pencil.points.unbind(-1)
    direction, pitch = pencil.chance(0.5)[:, None], pencil.between(4.0, 20.0)[:, None]
    depth = (pencil.chance(0.35) * pencil.between(0.1, 0.5))[:, None]
    stripes = 1 - depth * (0.5 + 0.5 * ((direction * x + (1 - direction) * y) * pitch).sin())
    coarse = torch.rand(pencil.n, 1, 5, 5, generator=pencil.rng)
    folds = interpolate(coarse, size=(SIDE, SIDE), mode="bilinear").view(pencil.n, -1)
    return pencil.between(0.45, 1.0)[:, None] * stripes * (0.7 + 0.3 * folds)
