"""Each known way to overrate robustness is noticed by name."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from descent.attacks import cross_entropy, dlr, moved
from descent.checks import Findings, failed_checks
from descent.data import Split
from descent.models import build_model
from descent.params import MLP, PGD
from descent.robustness import pgd_curve
from descent.sweep import directions, fgsm_accuracy, sweep, zero_gradient_share
from descent.training import accuracy, predict

EPSILON = 0.1
SETTINGS = PGD(images=500, epsilons=[0.02, EPSILON, 0.5], steps=10, step=0.25, restarts=1)


@pytest.fixture(scope="module")
def data() -> Split:
    digits = load_digits()  # 1,797 handwritten ones of 8 × 8 pixels, with grey values from 0 to 16
    x, y = torch.from_numpy(digits.data).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(digits.target).long()
    return Split(x, y)


@pytest.fixture(scope="module")
def model(data: Split) -> nn.Module:
    made = build_model(MLP(kind="mlp", hidden=[50]), (1, 8, 8), 10, seed=0)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.003)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(made(data.x), data.y).backward()
        optimizer.step()
    return made.eval()


class Wrapped(nn.Module):
    """A model whose outputs, or inputs, go through something more."""

    def __init__(self, model: nn.Module, after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.after = model, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.model(x))


def judged(model: nn.Module, data: Split) -> list[str]:
    """Attack a model as `assess` does, and return the checks that fail."""
    rng = torch.Generator().manual_seed(0)
    direction = directions(model, data, 200)
    return failed_checks(
        model,
        data,
        Findings(
            fgsm=sweep(model, data, direction, [0.0, 0.02, EPSILON, 0.5], 200, rng)[0],
            pgd=pgd_curve(model, data, direction, SETTINGS, 200, rng),
            dlr_accuracy=fgsm_accuracy(model, data, EPSILON, dlr, 200),
            zero_gradient_share=zero_gradient_share(direction),
            epsilon=EPSILON,
            pgd_images=SETTINGS.images,
        ),
    )


def test_an_honest_model_passes_every_check(model: nn.Module, data: Split) -> None:
    assert judged(model, data) == []


@pytest.mark.parametrize("scale", [100.0, 1000.0])
def test_saturated_logits_are_named_and_the_margin_tells_the_truth(model: nn.Module, data: Split, scale: float) -> None:
    confident = Wrapped(model, lambda logits: scale * logits).eval()
    truth = fgsm_accuracy(model, data, EPSILON, dlr, 200)
    assert fgsm_accuracy(confident, data, EPSILON, cross_entropy, 200) > truth + 0.1
    assert fgsm_accuracy(confident, data, EPSILON, dlr, 200) == pytest.approx(truth, abs=0.01)
    assert {"gradients_not_zero", "cross_entropy_not_saturated"} <= set(judged(confident, data))


def test_logits_ten_times_as_large_change_nothing_for_the_margin(model: nn.Module, data: Split) -> None:
    confident = Wrapped(model, lambda logits: 10 * logits).eval()
    truth = fgsm_accuracy(model, data, EPSILON, dlr, 200)
    assert fgsm_accuracy(confident, data, EPSILON, dlr, 200) == pytest.approx(truth, abs=0.01)


def test_probabilities_for_logits_are_named(model: nn.Module, data: Split) -> None:
    assert "logits_not_probabilities" in judged(Wrapped(model, lambda logits: logits.softmax(dim=1)).eval(), data)


def test_the_negated_logit_for_cross_entropy_overrates(model: nn.Module, data: Split) -> None:
    def nll_of_logits(logits: Tensor, y: Tensor) -> Tensor:
        return F.nll_loss(logits, y, reduction="none")

    truth = fgsm_accuracy(model, data, EPSILON, cross_entropy, 200)
    assert fgsm_accuracy(model, data, EPSILON, nll_of_logits, 200) > truth + 0.1


def test_pixels_that_are_normalised_are_named(model: nn.Module, data: Split) -> None:
    normalised = Split((data.x - 0.5) / 0.35, data.y)
    undone = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 8, 8)), model)
    assert "inputs_in_range" in judged(undone.eval(), normalised)


def test_dropout_that_is_on_is_named(model: nn.Module, data: Split) -> None:
    noisy = nn.Sequential(deepcopy(model), nn.Dropout(0.5)).train()
    rows = [{"epsilon": EPSILON, "accuracy": 0.0, "noise_accuracy": 1.0}]
    found = failed_checks(
        noisy, data, Findings(rows, [{"accuracy": 0.0, "fgsm_accuracy": 0.0}], 0.0, 0.0, EPSILON, 200)
    )
    assert {"evaluation_mode", "deterministic_forward"} <= set(found)


def test_what_cannot_be_is_named(model: nn.Module, data: Split) -> None:
    fine = {"epsilon": EPSILON, "accuracy": 0.2, "noise_accuracy": 0.9}
    weak = Findings([fine], [{"accuracy": 0.5, "fgsm_accuracy": 0.2}], 0.2, 0.0, EPSILON, 200)
    assert failed_checks(model, data, weak) == ["pgd_not_weaker_than_fgsm", "large_epsilon_breaks"]
    # Among a few images such a difference may be chance.
    assert failed_checks(model, data, weak._replace(pgd_images=20)) == ["large_epsilon_breaks"]
    noise = Findings(
        [fine | {"noise_accuracy": 0.05}], [{"accuracy": 0.0, "fgsm_accuracy": 0.2}], 0.2, 0.0, EPSILON, 200
    )
    assert failed_checks(model, data, noise) == ["noise_not_stronger"]


def test_random_noise_is_no_attack(model: nn.Module, data: Split) -> None:
    rng = torch.Generator().manual_seed(0)
    rows, _, _ = sweep(model, data, directions(model, data, 200), [0.0, EPSILON], 200, rng)
    assert rows[1]["noise_accuracy"] > rows[1]["accuracy"] + 0.3
    assert rows[0]["noise_accuracy"] == rows[0]["accuracy"]
    direction = directions(model, data, 200)
    logits = predict(model, moved(data.x, direction, EPSILON), 200)
    assert rows[1]["accuracy"] == pytest.approx(accuracy(logits, data.y).item())
