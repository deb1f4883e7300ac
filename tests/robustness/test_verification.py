"""Programs find the least margin of a ball, and verdicts say what is true of every image in it."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from scipy.optimize import milp
from torch import Tensor, nn

from descent.io.run_schema import MLP
from descent.io.schema import PGD
from descent.models.intervals import ball
from descent.models.networks import build_model
from descent.robustness.bounds import crown
from descent.robustness.verification import Minimum, Verdict, least_margin, verify
from tests.models.known import strided
from tests.robustness.known import dominant, lit

ATTACK = PGD(images=1, epsilons=[0.1], steps=20, step=0.25, restarts=5)
FEEBLE = ATTACK.model_copy(update={"steps": 1, "step": 1e-6, "restarts": 1})


def image(seed: int, hidden: list[int]) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return a network, an image and its class."""
    model = build_model(MLP(kind="mlp", hidden=hidden), (1, 3, 3), 4, seed)
    x = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    return model, x, model(x).argmax(dim=1)


def verdict(model: nn.Sequential, x: Tensor, y: Tensor, epsilon: float, attack: PGD, seconds: float = 60) -> Verdict:
    return verify(model, x, y, epsilon, attack, seconds, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("hidden", [[], [5], [6, 5], [5, 4, 3]])
@pytest.mark.parametrize("epsilon", [0.05, 0.4])
def test_a_program_finds_the_least_margin(hidden: list[int], epsilon: float, rng: torch.Generator) -> None:
    for seed in range(3):
        model, x, y = image(seed, hidden)
        lower, upper = ball(x, epsilon)
        share = torch.rand(20_000, 1, 3, 3, generator=rng)
        tried = torch.cat([lower + part * (upper - lower) for part in (share, share.round())])
        with torch.no_grad():
            logits = model(tried)
            bounds = crown(model, x, y, epsilon).lower[0]
        for other in {0, 1, 2, 3} - {y.item()}:
            found = least_margin(model, x, y, int(other), epsilon, 60)
            assert found.lower - 1e-6 <= found.upper <= found.lower + 1e-3
            assert found.image is not None
            assert (lower <= found.image).all()
            assert (found.image <= upper).all()
            (reached,) = model(found.image).detach()
            assert (reached[y] - reached[other]).item() == pytest.approx(found.upper, abs=1e-5)
            assert bounds[other] - 1e-5 <= found.upper <= (logits[:, y.item()] - logits[:, other]).min().item() + 1e-5


def test_verdicts_are_true_of_a_linear_classifier() -> None:
    model, x, y = dominant(5), lit([2]), torch.tensor([2])  # it flips from ε = 0.2 on
    model[-1].bias = nn.Parameter(torch.zeros(5))
    assert verdict(model, x, torch.tensor([3]), 0.1, ATTACK) == Verdict("misclassified")
    assert verdict(model, x, y, 0.19, ATTACK) == Verdict("certified")
    assert verdict(model, x, y, 0.21, ATTACK) == Verdict("attacked")
    assert verdict(model, x, y, 0.201, FEEBLE).says == "flipped"  # CROWN's bound is −0.04
    found = verdict(model, x, y, 0.21, FEEBLE)
    assert found.says == "flipped"
    assert (found.crown, found.exact) == pytest.approx((-0.4, -0.4), abs=1e-4)  # 20 · (0.4 − 2 ε)
    assert found.attack is not None
    assert found.attack > 1


def test_what_crown_leaves_open_a_program_decides_within_its_bracket() -> None:
    said = list[str]()
    for seed in range(40):
        model, x, y = image(seed, [12])
        for parameter in model.parameters():
            parameter.data *= 3
        y = model(x).argmax(dim=1)
        for epsilon in (0.02, 0.1):
            found = verdict(model, x, y, epsilon, ATTACK)
            said.append(found.says)
            if found.crown is not None and found.exact is not None and found.attack is not None:
                assert found.crown <= found.exact + 1e-5 <= found.attack + 2e-5
                assert found.crown <= 0  # else CROWN would have decided
                hasty = verdict(model, x, y, epsilon, ATTACK, seconds=0)
                assert hasty == Verdict("undecided", found.crown, None, hasty.attack)
            if found.says in ("certified", "proven", "attacked"):
                # The programs alone say the same.
                others = [other for other in range(4) if other != y.item()]
                least = min(least_margin(model, x, y, other, epsilon, 60).lower for other in others)
                assert (least > 0) == (found.says != "attacked")
    assert {"attacked", "certified", "proven"} <= set(said)


@pytest.mark.parametrize(("lower", "says"), [(-0.5, "undecided"), (1e-7, "undecided"), (0.5, "proven")])
def test_a_program_that_ends_early_proves_what_its_bound_proves(
    lower: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, y = dominant(3), lit([2]), torch.tensor([2])
    model[-1].bias = nn.Parameter(torch.zeros(3))
    monkeypatch.setattr("descent.robustness.verification.least_margin", Mock(return_value=Minimum(lower, 1.0, x)))
    assert verdict(model, x, y, 0.21, FEEBLE).says == says


def test_the_lower_bound_of_a_program_that_ends_early_is_its_dual_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def early(*arguments: Any, **settings: Any) -> Any:  # noqa: ANN401
        found = milp(*arguments, **settings)
        found.mip_dual_bound -= 1  # as if the best image so far were not proven to be the worst
        return found

    monkeypatch.setattr("scipy.optimize.milp", early)
    model, x, y = image(0, [5])
    found = least_margin(model, x, y, int((y + 1) % 4), 0.1, 60)
    assert found.lower == pytest.approx(found.upper - 1, abs=1e-3)


def test_a_network_that_is_not_dense_is_refused() -> None:
    model, x = build_model(strided(), (1, 12, 12), 10, seed=0), torch.rand(1, 1, 12, 12)
    with pytest.raises(TypeError, match="only a dense network"):
        least_margin(model, x, model(x).argmax(dim=1), 0, 0.1, 1)
