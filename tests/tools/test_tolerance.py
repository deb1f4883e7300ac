"""Metrics beside the committed ones: what differs, by how much, and whether that is too much."""

import json
from math import inf, nan
from typing import Any

import pandas as pd
import pytest

from descent.sources.published import FILES
from tests.workspace import Workspace
from tools.tolerance import ABSENT, CLASSIFIER, EXACT, Difference, differences, kind_of, largest_changes

# Beside one of these a metric is of a classifier.
CLASSIFIED = {"clean_accuracy": 0.88}


def difference(metric: str, old: Any, new: Any, **beside: Any) -> Difference:  # noqa: ANN401 - any word of JSON
    """Compare one metric, in a file with others."""
    (found,) = differences({**beside, metric: old}, {**beside, metric: new})
    return found


def test_what_is_equal_is_no_difference() -> None:
    metrics = {"epochs": 3, "device": "cpu", "overfitting_epoch": None, "diverged": False, "test_r2": 0.48}
    assert differences(metrics, dict(metrics)) == []
    assert differences({"share": 0.0}, {"share": 0}) == []  # JSON has one type of number


def test_a_difference_has_both_values_the_change_and_what_is_allowed() -> None:
    found = difference("final_test_loss", 0.5, 0.56, **CLASSIFIED)
    assert found[:3] == ("final_test_loss", 0.5, 0.56)
    assert found.change == pytest.approx(0.06)
    assert found.allowed == pytest.approx(0.02 + 0.1 * 0.5)
    assert (found.kind, found.within) == ("loss", True)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("metric", "old", "limit"),
    [
        ("final_test_accuracy", 0.88, 0.02),
        ("generalization_gap_accuracy", 0.01, 0.02),
        ("clean_mean_confidence", 0.96, 0.02),
        ("accuracy_at_0", 0.88, 0.02),
        ("accuracy_at_0.05", 0.2, 0.1),
        ("pgd_high_at_0.1", 0.5, 0.1),
        ("write_up_accuracy", 0.4, 0.1),
        ("mlp_on_convnet", 0.55, 0.1),
        ("never_flipped_share", 0.07, 0.06),
        ("share_of_epochs_with_rising_train_loss", 0.4, 0.2),
        ("final_train_loss", 0.05, 0.025),
        ("best_test_loss", 0.33, 0.053),
        ("second_half_test_loss_deviation", 0.2, 0.08),
        ("median_flipping_epsilon", 0.02, 0.003),
        ("bag_t_shirt_confidence", 0.34, 0.25),
    ],
)
def test_a_classifier_may_differ_as_far_as_its_kind_of_metric_and_no_further(
    metric: str, old: float, limit: float, sign: int
) -> None:
    assert difference(metric, old, old + 0.99 * sign * limit, **CLASSIFIED).within
    assert not difference(metric, old, old + 1.01 * sign * limit, **CLASSIFIED).within


@pytest.mark.parametrize(("metric", "limit"), [("overfitting_epoch", 5), ("diverged_epoch", 5)])
def test_an_epoch_may_be_another_one_but_not_none(metric: str, limit: int) -> None:
    assert difference(metric, 20, 20 - limit, **CLASSIFIED).within
    assert not difference(metric, 20, 20 - limit - 1, **CLASSIFIED).within
    assert not difference(metric, 20, None, **CLASSIFIED).within
    assert not difference(metric, None, 20, **CLASSIFIED).within


def test_another_bag_may_be_the_least_confident_but_there_has_to_be_one() -> None:
    assert difference("bag_index", 4368, 2, **CLASSIFIED).within
    assert difference("bag_epsilon", 0.016, 0.3, **CLASSIFIED).within
    assert not difference("bag_index", 4368, None, **CLASSIFIED).within


def test_the_best_of_many_similar_epochs_may_be_another() -> None:
    assert difference("best_epoch", 88, 1, **CLASSIFIED).within
    assert not difference("best_epoch", 88, None, **CLASSIFIED).within


@pytest.mark.parametrize("metric", ["final_train_loss", "best_epoch", "share_of_epochs_with_rising_train_loss"])
def test_what_is_no_classifier_keeps_its_six_digits(metric: str) -> None:
    assert difference(metric, 2849.97, 2849.98).within
    assert not difference(metric, 2849.97, 2850.1).within


def test_what_should_be_zero_may_be_any_rounding_error() -> None:
    assert difference("relu_max_error", 2.7e-15, 3.6e-13).within
    assert not difference("relu_max_error", 2.7e-15, 1e-11).within


@pytest.mark.parametrize("beside", [{}, CLASSIFIED])
@pytest.mark.parametrize(
    ("metric", "old", "new"),
    [
        ("epochs", 1_000_000, 1_000_001),
        ("weights", 79510, 79511),
        ("sigmoid_symbolic_difference", "0", "exp(-x)"),
        ("diverged", False, True),
        ("diverged", False, 0),
        ("source", "fashion-mnist", "drawn"),
        ("final_test_loss", 0.5, "0.5"),
    ],
)
def test_counts_words_and_verdicts_have_to_be_equal(
    metric: str, old: object, new: object, beside: dict[str, Any]
) -> None:
    assert not difference(metric, old, new, **beside).within


def test_an_attack_that_fails_a_check_is_not_within_tolerance() -> None:
    assert not difference("failed_checks", "none", "noise does better").within


def test_the_hash_of_raw_data_has_to_be_equal_and_no_other_hash() -> None:
    for part in FILES:
        assert not difference(f"sha256_{part}", "0a", "0b").within
    for name in ("diabetes", "images", "model", "pictures", "adversarial_set"):
        assert difference(f"sha256_{name}", "0a", "0b").within
        assert not difference(f"sha256_{name}", "0a", None).within


def test_another_version_or_device_is_told_and_harms_nothing() -> None:
    for metric, old, new in (("torch", "2.13.0", "2.14.1"), ("device", "cpu", "cuda")):
        found = difference(metric, old, new)
        assert (found.kind, found.within) == ("circumstance", True)


def test_a_metric_that_only_one_side_has_is_too_much_whatever_it_is() -> None:
    assert differences({"sha256_model": "0a", "weights": 3}, {"torch": "2.13.0"}) == [
        Difference("sha256_model", "0a", ABSENT, None, None, "hash", False),
        Difference("weights", 3, ABSENT, None, None, "exact", False),
        Difference("torch", ABSENT, "2.13.0", None, None, "circumstance", False),
    ]


def test_every_committed_metric_is_of_the_kind_that_it_is_meant_to_be(committed: Workspace) -> None:
    of_classifiers, kinds = {kind.name for kind in CLASSIFIER}, set[str]()
    for path in (committed.folder / "metrics").rglob("*.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        found = {metric: kind_of(metric, metrics).name for metric, value in metrics.items() if isinstance(value, float)}
        if path.parent.name == "metrics" and path.stem != "transfer" or path.stem.startswith("regression"):
            assert set(found.values()) <= {EXACT.name}
        else:
            assert set(found.values()) <= of_classifiers
        kinds |= {kind_of(metric, metrics).name for metric in metrics}
    assert of_classifiers <= kinds  # none is left over


def test_the_largest_change_of_a_column_is_a_share_of_its_largest_value() -> None:
    old = pd.DataFrame({"epoch": [1, 2, 3], "loss": [4.0, -8.0, 0.0], "word": ["a", "b", "c"], "gap": [1.0, nan, 2.0]})
    new = old.assign(loss=[4.0, -8.8, 0.4])
    assert largest_changes(old, new) == {"epoch": 0.0, "loss": pytest.approx(0.1), "word": 0.0, "gap": 0.0}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["a", "b"], ["a", "c"]),
        ([1.0, nan], [1.0, 2.0]),
        ([0.0, 0.0], [0.0, 1e-9]),
        ([1.0, 2.0], ["1.0", "two"]),
    ],
)
def test_where_no_share_can_be_told_the_change_is_infinite(old: list[object], new: list[object]) -> None:
    assert largest_changes(pd.DataFrame({"x": old}), pd.DataFrame({"x": new})) == {"x": inf}
