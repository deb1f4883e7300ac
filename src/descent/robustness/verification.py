"""The exact robustness of dense networks, image by image: an attack, then CROWN, then mixed-integer programs."""

from copy import deepcopy
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.attacks.norms import Images
from descent.io.schema import PGD
from descent.models.intervals import ball
from descent.robustness.bounds import crown, hidden_boxes

# HiGHS keeps constraints to within 1e-6.
TOLERANCE = 1e-5


class Verdict(NamedTuple):
    """What is known of all images of a ball.

    `says` is `misclassified` (the image itself), `attacked` (PGD finds an adversarial example), `certified` (CROWN
    proves that there is none), `proven` or `flipped` (a program proves that there is none, or finds one), or
    `undecided`. With a program come the margins of the class i that decides, else None.
    """

    says: str
    crown: float | None = None  # a lower bound of the least margin z_y − z_i in the ball
    exact: float | None = None  # the least margin to one of the classes that CROWN leaves open
    attack: float | None = None  # the margin of the image at which PGD ends


class Minimum(NamedTuple):
    """The least margin in a ball, or the bounds of it that the time allowed, and the image of the upper bound."""

    lower: float
    upper: float
    image: Images | None


def verify(
    model: nn.Sequential,
    x: Float[Tensor, "1 c h w"],
    y: Int[Tensor, " 1"],
    epsilon: float,
    settings: PGD,
    seconds: float,
    rng: torch.Generator,
) -> Verdict:
    """Decide whether any image of the ball of radius `epsilon` around an image, within [0, 1], is misclassified.

    The programs of an image take at most so many seconds.

    Raises:
        TypeError: The network is not dense, with ReLU between linear layers.
    """
    if _wrong(model, x, y):
        return Verdict("misclassified")
    attack = settings.model_dump(include={"steps", "restarts"})
    adversarial = pgd(model, x, y, epsilon, step=settings.step * epsilon, rng=rng, **attack)
    if _wrong(model, adversarial, y):
        return Verdict("attacked")
    with torch.no_grad():
        bounds, logits = crown(model, x, y, epsilon).lower[0], model(adversarial)[0]
    deadline, solved = monotonic() + seconds, list[Verdict]()
    for other in bounds.argsort().tolist():
        if other == y.item() or bounds[other] > 0:
            continue
        found = least_margin(model, x, y, other, epsilon, deadline - monotonic())
        margins = bounds[other].item(), found.upper, (logits[y] - logits[other]).item()
        if found.image is not None and _wrong(model, found.image, y):
            return Verdict("flipped", *margins)
        if found.lower <= TOLERANCE:
            return Verdict("undecided", margins[0], None, margins[2])
        solved.append(Verdict("proven", *margins))
    return min(solved, key=lambda verdict: verdict.exact or 0.0, default=Verdict("certified"))


@torch.no_grad()
def least_margin(
    model: nn.Sequential,
    x: Float[Tensor, "1 c h w"],
    y: Int[Tensor, " 1"],
    other: int,
    epsilon: float,
    seconds: float,
) -> Minimum:
    """Minimise z_y − z_i over the ball of radius `epsilon` around an image, within [0, 1], for the class i = `other`.

        a ≥ 0,  a ≥ t,  a ≤ t − l (1 − d),  a ≤ u d,  d ∈ {0, 1}    for each a = relu(t), l ≤ t ≤ u

    A mixed-integer linear program (Tjeng, Xiao & Tedrake 2019, arXiv:1711.07356, §4), solved by HiGHS; l and u are
    those of CROWN.

    Raises:
        TypeError: The network is not dense, with ReLU between linear layers.
    """
    from scipy import sparse  # imported here as it takes a second, and most images need no program
    from scipy.optimize import Bounds, LinearConstraint, milp

    affine = _affine(model)
    boxes = hidden_boxes(deepcopy(model).double(), x.double(), epsilon, relax=True)
    # The groups of variables: the pixels, a of each layer, d of each layer; where t has one sign, d is fixed.
    pixels, *bends = [tuple(bound.numpy().ravel() for bound in boxes[depth]) for depth in (0, *range(2, len(boxes), 2))]
    sizes = [len(lower) for lower, _ in (pixels, *bends, *bends)]
    constraints = []
    for depth, ((weight, bias), (lower, upper)) in enumerate(zip(affine, bends, strict=False)):
        a, d = depth + 1, depth + 1 + len(bends)
        one, free = np.eye(len(bias)), np.full(len(bias), np.inf)
        for groups, least, most in (
            ({depth: -weight, a: one}, bias, free),
            ({depth: -weight, a: one, d: np.diag(-lower)}, -free, bias - lower),
            ({a: one, d: np.diag(-upper)}, -free, 0 * bias),
        ):
            row = [groups.get(group, np.zeros((len(bias), size))) for group, size in enumerate(sizes)]
            constraints.append(LinearConstraint(sparse.csr_array(np.hstack(row)), least, most))
    weight, bias = (each[y.item()] - each[other] for each in affine[-1])
    low = pixels[0], *(0 * lower for lower, _ in bends), *(lower > 0 for lower, _ in bends)
    high = pixels[1], *(upper.clip(0) for _, upper in bends), *(upper > 0 for _, upper in bends)
    found = milp(
        np.concatenate([weight if group == len(bends) else np.zeros(size) for group, size in enumerate(sizes)]),
        integrality=np.concatenate([np.full(size, group > len(bends)) for group, size in enumerate(sizes)]),
        bounds=Bounds(np.concatenate(low), np.concatenate(high)),
        constraints=constraints,
        options={"time_limit": max(seconds, 0.0)},
    )
    if found.x is None:
        return Minimum(-np.inf, np.inf, None)
    image = torch.from_numpy(found.x[: sizes[0]]).view_as(x).to(x.dtype).clamp(*ball(x, epsilon))
    bound = found.mip_dual_bound if bends else found.fun  # without a ReLU it is a linear program
    return Minimum(float(bound + bias), float(found.fun + bias), image)


def _affine(model: nn.Sequential) -> list[tuple[Any, Any]]:
    """Return weight and bias of each linear layer."""
    flatten, *dense = model
    affine = [layer for layer in dense[::2] if isinstance(layer, nn.Linear)]
    bends = [layer for layer in dense[1::2] if isinstance(layer, nn.ReLU)]
    if not isinstance(flatten, nn.Flatten) or [*affine, *bends] != [*dense[::2], *dense[1::2]]:
        raise TypeError("only a dense network, with ReLU between its linear layers, can be verified")
    return [(layer.weight.double().numpy(), layer.bias.double().numpy()) for layer in affine]


def _wrong(model: nn.Module, x: Images, y: Int[Tensor, " 1"]) -> bool:
    with torch.no_grad():
        return bool((model(x).argmax(dim=1) != y).item())
