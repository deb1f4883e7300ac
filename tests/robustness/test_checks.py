"""Each known way to overrate robustness is noticed by name."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from descent.attacks.gradient_sign import moved
from descent.attacks.losses import cross_entropy, dlr
from descent.io.datasets import Split
from descent.io.run_schema import MLP
from descent.io.schema import PGD
from descent.models.evaluation import accuracy, predict
from descent.models.networks import build_model
from descent.robustness.assessment import pgd_rows
from descent.robustness.checks import AttackResults, Checks, check
from descent.robustness.sweep import directions, fgsm_accuracy, sweep, zero_gradient_share

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
    """Attack a model as `assess` does, and return the checks that fail; every check applies."""
    rng = torch.Generator().manual_seed(0)
    direction = directions(model, data, 200)
    checks = check(
        model,
        data,
        AttackResults(
            fgsm=sweep(model, data, direction, [0.0, 0.02, EPSILON, 0.5], 200, rng)[0],
            pgd=pgd_rows(model, data, direction, SETTINGS, 200, rng),
            dlr_accuracy=fgsm_accuracy(model, data, EPSILON, dlr, 200),
            zero_gradient_share=zero_gradient_share(direction),
            epsilon=EPSILON,
            pgd_images=SETTINGS.images,
        ),
    )
    assert checks.not_applicable == []
    return checks.failed


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


FGSM = {"epsilon": EPSILON, "accuracy": 0.2, "noise_accuracy": 0.9}
PGD_ROW = {"epsilon": 0.5, "accuracy": 0.1, "fgsm_accuracy": 0.2}
FOUND = AttackResults([FGSM], [PGD_ROW], dlr_accuracy=0.2, zero_gradient_share=0.0, epsilon=EPSILON, pgd_images=200)


def found(**changes: float) -> AttackResults:
    """Return what attacks of which nothing is to be said have shown, with another last row of PGD."""
    return FOUND._replace(pgd=[PGD_ROW | changes])


def test_dropout_that_is_on_is_named(model: nn.Module, data: Split) -> None:
    noisy = nn.Sequential(deepcopy(model), nn.Dropout(0.5)).train()
    assert {"evaluation_mode", "deterministic_forward"} <= set(check(noisy, data, FOUND).failed)


def test_a_weak_attack_is_named(model: nn.Module, data: Split) -> None:
    assert check(model, data, FOUND) == Checks([], [])
    weak = found(accuracy=0.5)
    assert check(model, data, weak).failed == ["pgd_not_weaker_than_fgsm", "large_epsilon_breaks"]
    # Among a few images such a difference may be chance.
    assert check(model, data, weak._replace(pgd_images=10)).failed == []
    noise = FOUND._replace(fgsm=[FGSM | {"noise_accuracy": 0.05}])
    assert check(model, data, noise).failed == ["noise_not_stronger"]


def test_with_two_classes_the_logit_ratio_is_not_applicable(model: nn.Module, data: Split) -> None:
    assert check(model, data, FOUND._replace(dlr_accuracy=None)) == Checks([], ["cross_entropy_not_saturated"])


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3, 0.499])
def test_below_one_half_a_robust_classifier_fails_no_check(model: nn.Module, data: Split, epsilon: float) -> None:
    robust = found(epsilon=epsilon, accuracy=0.8, fgsm_accuracy=0.8)
    assert check(model, data, robust) == Checks([], ["large_epsilon_breaks"])


@pytest.mark.parametrize("epsilon", [0.5, 0.75, 1.0])
def test_from_one_half_on_every_image_can_be_grey_and_a_robust_classifier_is_suspect(
    model: nn.Module, data: Split, epsilon: float
) -> None:
    assert ((data.x - 0.5).abs() <= epsilon).all()
    suspect = found(epsilon=epsilon, accuracy=0.8, fgsm_accuracy=0.8)
    assert check(model, data, suspect) == Checks(["large_epsilon_breaks"], [])


@pytest.mark.parametrize(("classes", "share"), [(2, 1 / 2), (2, 0.7), (3, 1 / 3), (10, 0.1), (10, 0.6), (50, 1 / 50)])
def test_chance_level_is_the_share_of_the_largest_class(model: nn.Module, classes: int, share: float) -> None:
    largest = round(1000 * share)
    y = torch.cat([torch.zeros(largest), torch.arange(1000 - largest) % (classes - 1) + 1]).long()
    data = Split(torch.rand(1000, 1, 8, 8), y)
    noise = 2 * (0.5 / 1000) ** 0.5
    for kept, failed in ((share, []), (share + 0.9 * noise, []), (share + 1.1 * noise, ["large_epsilon_breaks"])):
        findings = found(accuracy=kept, fgsm_accuracy=1.0)._replace(pgd_images=1000)
        assert check(model, data, findings) == Checks(failed, [])


@pytest.mark.parametrize(("images", "labels"), [(1, [3]), (2, [0, 1]), (100, [7] * 100)])
def test_where_no_accuracy_is_above_chance_the_check_is_not_applicable(
    model: nn.Module, images: int, labels: list[int]
) -> None:
    data = Split(torch.rand(images, 1, 8, 8), torch.tensor(labels))
    checks = check(model, data, found(accuracy=1.0, fgsm_accuracy=1.0)._replace(pgd_images=images))
    assert checks == Checks([], ["large_epsilon_breaks"])


def test_random_noise_is_no_attack(model: nn.Module, data: Split) -> None:
    rng = torch.Generator().manual_seed(0)
    rows, _, _ = sweep(model, data, directions(model, data, 200), [0.0, EPSILON], 200, rng)
    assert rows[1]["noise_accuracy"] > rows[1]["accuracy"] + 0.3
    assert rows[0]["noise_accuracy"] == rows[0]["accuracy"]
    direction = directions(model, data, 200)
    logits = predict(model, moved(data.x, direction, EPSILON), 200)
    assert rows[1]["accuracy"] == pytest.approx(accuracy(logits, data.y).item())
