"""Each known way to overrate robustness is noticed by name."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from descent.attacks.losses import cross_entropy, dlr
from descent.io.datasets import Split
from descent.io.run_schema import MLP
from descent.io.schema import PGD
from descent.models.networks import build_model
from descent.robustness.bracket import pgd_robust
from descent.robustness.checks import AttackResults, check
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


def judged(model: nn.Module, data: Split) -> list[str]:
    """Attack a model as `assess` does, and return the checks that fail; every check applies."""
    rng, direction = torch.Generator().manual_seed(0), directions(model, data, 200)
    fgsm = sweep(model, data, direction, [0.0, 0.02, EPSILON, 0.5], 200, rng)[0]
    few = Split(*(part[: SETTINGS.images] for part in data))
    robust = pgd_robust(model, few, SETTINGS, 200, rng).float().mean(dim=1).tolist()
    rows = {row["epsilon"]: row["accuracy"] for row in fgsm}
    under_pgd = [
        {"epsilon": epsilon, "accuracy": left, "fgsm_accuracy": rows[epsilon]}
        for epsilon, left in zip(SETTINGS.epsilons, robust, strict=True)
    ]
    accuracy, share = fgsm_accuracy(model, data, EPSILON, dlr, 200), zero_gradient_share(direction)
    results = AttackResults(fgsm, under_pgd, accuracy, share, EPSILON, SETTINGS.images, 0)
    failed, not_applicable = checked(model, data, results)
    assert not_applicable == []
    return failed


def checked(model: nn.Module, data: Split, results: AttackResults) -> tuple[list[str], list[str]]:
    """Return the checks that fail, and those that do not apply."""
    checks = check(model, data, results)
    assert len(checks) == 11
    return [name for name in checks if checks[name] is False], [name for name in checks if checks[name] is None]


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (lambda logits: logits, set()),
        (lambda logits: 1000 * logits, {"gradients_not_zero", "cross_entropy_not_saturated"}),
        (lambda logits: logits.softmax(dim=1), {"logits_not_probabilities"}),
    ],
)
def test_saturated_logits_and_probabilities_are_named_and_logits_pass(
    model: nn.Module, data: Split, after: Callable[[Tensor], Tensor], named: set[str]
) -> None:
    changed = deepcopy(model)
    changed.register_forward_hook(lambda module, given, logits: after(logits))
    failed = set(judged(changed.eval(), data))
    assert named <= failed if named else not failed


def test_the_margin_tells_the_truth_of_saturated_logits(model: nn.Module, data: Split) -> None:
    confident, truth = deepcopy(model), fgsm_accuracy(model, data, EPSILON, dlr, 200)
    confident.register_forward_hook(lambda module, given, logits: 1000 * logits)
    assert fgsm_accuracy(confident, data, EPSILON, cross_entropy, 200) > truth + 0.1
    assert fgsm_accuracy(confident, data, EPSILON, dlr, 200) == pytest.approx(truth, abs=0.01)


FGSM = {"epsilon": EPSILON, "accuracy": 0.2, "noise_accuracy": 0.9}
PGD_ROW = {"epsilon": 0.5, "accuracy": 0.1, "fgsm_accuracy": 0.2}
CLEAN = {"epsilon": 0.0, "accuracy": 0.9, "noise_accuracy": 0.9}
FOUND = AttackResults([CLEAN, FGSM], [PGD_ROW], 0.2, 0.0, EPSILON, pgd_images=200, contradictions=0)


def found(**changes: float) -> AttackResults:
    """Return what attacks of which nothing is to be said have shown, with another last row of PGD."""
    return FOUND._replace(pgd=[PGD_ROW | changes])


def test_dropout_that_is_on_and_pixels_that_are_normalised_are_named(model: nn.Module, data: Split) -> None:
    noisy = nn.Sequential(deepcopy(model), nn.Dropout(0.5)).train()
    assert {"evaluation_mode", "deterministic_forward"} <= set(checked(noisy, data, FOUND)[0])
    assert "inputs_in_range" in checked(model, Split((data.x - 0.5) / 0.35, data.y), FOUND)[0]


@pytest.mark.parametrize(
    ("results", "failed", "not_applicable"),
    [
        (FOUND, [], []),
        (found(accuracy=0.5), ["pgd_not_weaker_than_fgsm", "large_epsilon_breaks"], []),
        (found(accuracy=0.5)._replace(pgd_images=10), [], []),  # among a few images it may be chance
        (FOUND._replace(fgsm=[CLEAN, FGSM | {"noise_accuracy": 0.05}]), ["noise_not_stronger"], []),
        (FOUND._replace(fgsm=[CLEAN | {"accuracy": 0.1, "noise_accuracy": 0.1}, FGSM]), ["fgsm_not_above_clean"], []),
        (FOUND._replace(contradictions=1), ["certified_not_flipped"], []),
        (FOUND._replace(dlr_accuracy=None), [], ["cross_entropy_not_saturated"]),
        # Below ε = 0.5 a classifier may be robust, from there on every image can be grey.
        (found(epsilon=0.499, accuracy=0.8, fgsm_accuracy=0.8), [], ["large_epsilon_breaks"]),
        (found(epsilon=0.5, accuracy=0.8, fgsm_accuracy=0.8), ["large_epsilon_breaks"], []),
    ],
)
def test_what_attacks_found_is_judged(
    model: nn.Module, data: Split, results: AttackResults, failed: list[str], not_applicable: list[str]
) -> None:
    assert checked(model, data, results) == (failed, not_applicable)


@pytest.mark.parametrize(("classes", "share"), [(2, 1 / 2), (2, 0.7), (3, 1 / 3), (10, 0.1), (10, 0.6), (50, 1 / 50)])
def test_chance_level_is_the_share_of_the_largest_class(model: nn.Module, classes: int, share: float) -> None:
    largest = round(1000 * share)
    y = torch.cat([torch.zeros(largest), torch.arange(1000 - largest) % (classes - 1) + 1]).long()
    data = Split(torch.rand(1000, 1, 8, 8), y)
    noise = 2 * (0.5 / 1000) ** 0.5
    for kept, failed in ((share, []), (share + 0.9 * noise, []), (share + 1.1 * noise, ["large_epsilon_breaks"])):
        findings = found(accuracy=kept, fgsm_accuracy=1.0)._replace(pgd_images=1000)
        assert checked(model, data, findings) == (failed, [])


@pytest.mark.parametrize("labels", [[3], [0, 1], [7] * 100])
def test_where_no_accuracy_is_above_chance_no_check_applies_to_it(model: nn.Module, labels: list[int]) -> None:
    data = Split(torch.rand(len(labels), 1, 8, 8), torch.tensor(labels))
    results = found(accuracy=1.0, fgsm_accuracy=1.0)._replace(pgd_images=len(labels))
    assert checked(model, data, results) == ([], ["large_epsilon_breaks"])
