"""A bracket counts what a certificate and attacks leave on the same images."""

from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from descent.attacks.gradient_sign import pgd
from descent.io.datasets import Split
from descent.io.schema import PGD, Bench
from descent.robustness.bracket import Bracket, bracket, pgd_robust
from tests.robustness.known import DATA, Brightness, dominant, lit

ATTACK = PGD(images=4, epsilons=[0.06, 0.15, 0.25, 0.3], steps=4, step=0.5, restarts=2)


def test_pgd_attacks_only_what_still_stands(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Mock(wraps=pgd)
    monkeypatch.setattr("descent.robustness.bracket.pgd", recorded)
    robust = pgd_robust(Brightness(), DATA, ATTACK, 2, rng)
    attacked = [(epsilon, len(x)) for (_, x, _, epsilon), _ in recorded.call_args_list]
    # Three are recognised to begin with; 0.06 takes the second, 0.15 the third, 0.25 the first.
    assert attacked == [(0.06, 2), (0.06, 1), (0.15, 2), (0.25, 1)]
    assert robust.tolist() == [[True, False, True, False], [True, False, False, False], [False] * 4, [False] * 4]


def bracketed(model: nn.Sequential, data: Split, hits: list[Tensor], rng: torch.Generator) -> Bracket:
    settings = Bench(
        small_epsilons=[0.01, 0.1],
        epsilons=[0.0, 0.1, 0.15, 0.3],
        tolerance=0.1,
        slider_stop=1.0,
        slider_steps=1,
        bag_confidence=0.5,
        pgd=ATTACK.model_copy(update={"epsilons": [0.1, 0.3]}),
        epsilon=0.1,
        write_up_epsilon=1.0,
    )
    return bracket(model, data, torch.stack(hits), settings, 2, rng)


def test_attacks_and_certificate_meet_on_a_linear_classifier(rng: torch.Generator) -> None:
    # Each image flips at ε = 0.2 alone; the last is misclassified. FGSM is said to flip the first at 0.1.
    data = Split(lit([0, 1, 2, 3]), torch.tensor([0, 1, 2, 4]))
    clean = torch.tensor([True, True, True, False])
    found = bracketed(dominant(5), data, [clean, torch.tensor([False, True, True, False]), clean, clean], rng)
    assert [(row["epsilon"], row["accuracy"], row["attacked_accuracy"]) for row in found.rows] == [
        (0, 0.75, 0.75),
        (0.01, 0.75, 0.75),  # no attack was tried: what a smaller ε leaves
        (0.1, 0.75, 0.5),
        (0.15, 0.75, 0.5),  # what flips an image at 0.1 does so here
        (0.3, 0, 0),
    ]
    for row in found.rows:
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["attacked_low"] <= row["attacked_accuracy"] <= row["attacked_high"]
    assert found.contradictions == 2
    assert found.half_certified == pytest.approx(0.2, rel=0.05)
    rows = [(row["epsilon"], row["accuracy"], row["fgsm_accuracy"]) for row in found.pgd]
    assert rows == [(0.1, 0.75, 0.5), (0.3, 0, 0.75)]


ALL = torch.tensor([True, True])
FIRST = torch.tensor([True, False])


@pytest.mark.parametrize(
    ("fgsm", "pgd_robust", "attacked"),
    [
        ([ALL, ALL, ALL, ALL], [FIRST, ~ALL], [1, 1, 0.5, 0.5, 0]),
        ([ALL, FIRST, ALL, ALL], [ALL, ALL], [1, 1, 0.5, 0.5, 0.5]),  # what flips at 0.1 does so at 0.3
    ],
)
def test_an_image_that_an_attack_flips_contradicts_its_certificate(
    fgsm: list[Tensor], pgd_robust: list[Tensor], attacked: list[float], rng: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("descent.robustness.bracket.pgd_robust", Mock(return_value=torch.stack(pgd_robust)))
    found = bracketed(dominant(2), Split(lit([0, 1]), torch.tensor([0, 1])), fgsm, rng)
    assert [row["attacked_accuracy"] for row in found.rows] == attacked
    assert found.contradictions == 2  # at 0.1 and at 0.15; at 0.3 none is certified
