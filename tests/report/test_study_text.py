"""The paragraphs on a study follow from its tables."""

from math import nan
from typing import Any

import pandas as pd

from descent.report.study_results import StudyResults
from descent.report.study_text import paragraphs

EPOCHS = pd.DataFrame({"weight_decay": [0.0, 0.0, 0.1], "overfitting_epoch": [12.0, 17.0, nan]})


def setting(decay: float, loss: float, accuracy: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a row of the summary, made up; differences are from 0.5 and 0.8."""
    made: dict[str, Any] = {"weight_decay": decay, "seeds": 2, "overfitting_epoch_seeds": 2}
    for measure, mean, first in (("final_test_loss", loss, 0.5), ("final_test_accuracy", accuracy, 0.8)):
        difference = mean - first
        made |= {f"{measure}_mean": mean, f"{measure}_difference": difference}
        made |= {f"{measure}_difference_low": difference - 0.01, f"{measure}_difference_high": difference + 0.01}
    return made | changes


def study(*settings: dict[str, Any]) -> StudyResults:
    """Return a study of classifiers with these settings."""
    curves = pd.DataFrame({"test_accuracy": [0.5]})
    return StudyResults("decay", ["weight_decay"], {}, curves, EPOCHS, pd.DataFrame(settings))


def test_the_best_settings_are_compared_with_the_first() -> None:
    (said,) = paragraphs(study(setting(0.0, 0.5, 0.8), setting(0.1, 0.4, 0.9, overfitting_epoch_seeds=0)))
    assert said.startswith(
        "With weight_decay = 0 the test loss ends at 0.500 on average; 2 of 2 trials overfit, from epoch 14.5 in the "
        "median (12 to 17). It ends lowest with weight_decay = 0.1, at 0.400: a paired difference of −0.100 (−0.110 to "
        "−0.090). The test accuracy at the end is highest with weight_decay = 0.1, 90.00 % against 80.00 %, a paired "
        "difference of 10.00 points (9.00 to 11.00). No trial overfits with weight_decay = 0.1. The test set"
    )


def test_the_first_setting_is_not_compared_with_itself() -> None:
    (said,) = paragraphs(study(setting(0.0, 0.5, 0.8), setting(0.1, 0.6, 0.7)))
    assert "paired" not in said
    assert "With every setting some trial overfits." in said


def test_a_single_seed_has_no_interval_of_the_difference() -> None:
    none = {
        f"final_test_{measure}_difference_{end}": nan for measure in ("loss", "accuracy") for end in ("low", "high")
    }
    (said,) = paragraphs(study(setting(0.0, 0.5, 0.8), setting(0.1, 0.4, 0.9, **none)))
    assert "at 0.400. The test accuracy" in said
    assert "paired" not in said


def test_a_study_whose_trials_all_diverged_has_no_paragraph() -> None:
    assert list(paragraphs(study(setting(0.0, nan, nan)))) == []


def test_the_attack_that_tells_settings_apart_most_is_reported() -> None:
    first = setting(0.0, 0.5, 0.8, **{"accuracy_at_0_mean": 0.9, "accuracy_at_0.1_mean": 0.2})
    second = setting(0.1, 0.4, 0.9, **{"accuracy_at_0_mean": 0.8, "accuracy_at_0.1_mean": 0.6})
    _, said = paragraphs(study(first, second))
    assert "most at ε = 0.1: with weight_decay = 0.1, 60.0 % of the test images" in said
    assert said.endswith("with weight_decay = 0, 20.0 %.")
