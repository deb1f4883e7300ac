"""A verdict follows from the metrics: those of the write-up's story, and those that contradict it."""

from collections.abc import Mapping
from typing import Any

import pytest

from descent.report.claims import MetricsByRun, claims
from descent.report.verdict import Claim, power

THEORY: dict[str, Any] = {
    "parametrised_relu_networks": 200,
    "parametrised_relu_max_error": 4e-15,
    "parametrised_relu_slip_mean_error": 0.73,
    "parametrised_relu_slip_minus_w2o": 3e-15,
    "parametrised_relu_no_bias_at_zero": 0.55,
    "parametrised_relu_no_bias_relu_at_zero": 0.0,
    "parametrised_relu_zero_padding_border_error": 1.07,
    "parametrised_relu_zero_padding_inside_error": 2e-15,
    "parametrised_relu_valid_padding_error": 2e-15,
    "sigmoid_symbolic_difference": "0",
    "sigmoid_gradcheck": True,
    "sigmoid_gradgradcheck": True,
    "sigmoid_largest_difference": 1e-16,
    "learning_rate_closed_form_error": 2e-15,
    "learning_rate_full_batch_converges_at": 0.98,
    "learning_rate_full_batch_diverges_at": 1.02,
    "learning_rate_mini_batch_converges_at": 1.05,
    "learning_rate_mini_batch_diverges_at": 1.1,
    "learning_rate_worst_batch_threshold": 0.234,
    "broadcasting_variance": 5896.4,
    "broadcasting_slipped_loss": 5896.5,
    "broadcasting_slipped_loss_on_shuffled_targets": 5896.5,
    "broadcasting_right_loss": 2828.1,
    "broadcasting_refused": True,
}
REGRESSION: dict[str, Any] = {
    "share_of_epochs_with_rising_train_loss": 0.0,
    "hovering_excess_over_least_squares": 0.065,
    "learning_rate_over_threshold": 0.0065,
}
CLASSIFIER: dict[str, Any] = {
    "overfitting_epoch": 15,
    "best_test_loss": 0.329,
    "best_epoch": 21,
    "final_test_loss": 0.65,
    "final_train_loss": 0.054,
    "final_train_accuracy": 0.981,
    "final_test_accuracy": 0.8824,
    "best_test_accuracy": 0.892,
    "second_half_test_loss_deviation": 0.22,
}
TRAINED = {
    "regression-lr-1e-4": REGRESSION,
    "regression-lr-1e-2": REGRESSION | {"share_of_epochs_with_rising_train_loss": 0.59},
    "mlp": CLASSIFIER,
    "mlp-weight-decay": CLASSIFIER
    | {"overfitting_epoch": None, "second_half_test_loss_deviation": 0.07, "final_test_accuracy": 0.875},
    "convnet": CLASSIFIER | {"final_test_accuracy": 0.923},
}
ATTACKED = {
    "mlp": {
        "median_flipping_epsilon": 0.024,
        "never_flipped_share": 0.016,
        "bag_index": 6366,
        "bag_epsilon": 0.168,
        "bag_clean_confidence": 0.9999,
        "bag_t_shirt_confidence": 0.408,
    }
}


def judge(
    source: str = "fashion-mnist",
    theory: Mapping[str, Any] = THEORY,
    trained: MetricsByRun = TRAINED,
    attacked: MetricsByRun = ATTACKED,
) -> dict[str, Claim]:
    """Return the claims by what they say."""
    return {claim.says: claim for claim in claims(source, theory, trained, attacked)}


def find(judged: dict[str, Claim], words: str) -> Claim:
    """Return the one claim that contains these words."""
    (claim,) = (claim for says, claim in judged.items() if words in says)
    return claim


STORY = {
    "defines no function": True,
    "enough to subtract it": False,
    "wherever the layer stands": False,
    "σ′(x)": True,
    "takes the path": True,
    "converges below": True,
    "worst batch": False,
    "(n, 1) − (n,)": False,
    "0.0001 the loss falls smoothly": True,
    "0.01 the loss is noisy": True,
    "rises from around epoch 15": True,
    "the training loss falls to 0.05": True,
    "MLP: the test accuracy is 0.88": True,
    "circles a constant": True,
    "test accuracy is 0.866": True,
    "ConvNet classifies better": True,
    "flip when they are moved": True,
    "A bag, given 0.992": True,
}


def test_the_story_of_the_write_up_is_told_with_its_slips() -> None:
    judged = judge()
    assert len(judged) == len(STORY)
    assert {words: find(judged, words).holds for words in STORY} == STORY


def test_every_verdict_comes_with_a_number() -> None:
    for claim in judge().values():
        assert any(character.isdigit() for character in claim.shows), claim.says
        assert claim.verdict == ("holds" if claim.holds else "does not hold")


@pytest.mark.parametrize(
    ("words", "metric", "value"),
    [
        ("defines no function", "parametrised_relu_max_error", 1e-3),
        ("enough to subtract it", "parametrised_relu_slip_mean_error", 1e-12),
        ("σ′(x)", "sigmoid_symbolic_difference", "exp(-x)"),
        ("σ′(x)", "sigmoid_gradcheck", False),
        ("σ′(x)", "sigmoid_gradgradcheck", False),
        ("σ′(x)", "sigmoid_largest_difference", 1e-3),
        ("takes the path", "learning_rate_closed_form_error", 1e-3),
        ("converges below", "learning_rate_full_batch_converges_at", 1.2),
        ("converges below", "learning_rate_full_batch_diverges_at", 0.99),
        ("converges below", "learning_rate_full_batch_diverges_at", None),
        ("converges below", "learning_rate_full_batch_converges_at", None),
        ("worst batch", "learning_rate_mini_batch_converges_at", 0.2),
        ("(n, 1) − (n,)", "broadcasting_slipped_loss", 2828.1),
    ],
)
def test_a_contradicting_number_turns_the_verdict_of_the_theory(words: str, metric: str, value: object) -> None:
    assert metric in THEORY
    assert find(judge(theory=THEORY | {metric: value}), words).holds is not STORY[words]


def test_the_claim_for_any_layer_takes_both_counterexamples_away_to_hold() -> None:
    words = "wherever the layer stands"
    without = {"parametrised_relu_no_bias_at_zero": 0.0}
    border = {"parametrised_relu_zero_padding_border_error": 1e-15}
    assert find(judge(theory=THEORY | without), words).holds is False
    assert find(judge(theory=THEORY | border), words).holds is False
    assert find(judge(theory=THEORY | without | border), words).holds is True


@pytest.mark.parametrize(
    ("words", "run", "metric", "value"),
    [
        ("falls smoothly", "regression-lr-1e-4", "share_of_epochs_with_rising_train_loss", 0.1),
        ("is noisy", "regression-lr-1e-2", "share_of_epochs_with_rising_train_loss", 0.1),
        ("rises from around epoch 15", "mlp", "overfitting_epoch", None),
        ("rises from around epoch 15", "mlp", "overfitting_epoch", 40),
        ("rises from around epoch 15", "mlp", "overfitting_epoch", 3),
        ("the training loss falls to 0.05", "mlp", "final_train_loss", 0.4),
        ("the training loss falls to 0.05", "mlp", "final_train_accuracy", 0.9),
        ("MLP: the test accuracy is 0.88", "mlp", "final_test_accuracy", 0.86),
        ("MLP: the test accuracy is 0.88", "mlp", "final_test_accuracy", 0.91),
        ("circles a constant", "mlp-weight-decay", "overfitting_epoch", 20),
        ("circles a constant", "mlp-weight-decay", "second_half_test_loss_deviation", 0.3),
        ("test accuracy is 0.866", "mlp-weight-decay", "final_test_accuracy", 0.84),
        ("ConvNet classifies better", "convnet", "final_test_accuracy", 0.87),
    ],
)
def test_a_contradicting_run_turns_the_verdict(words: str, run: str, metric: str, value: object) -> None:
    assert metric in TRAINED[run]
    claim = find(judge(trained=TRAINED | {run: TRAINED[run] | {metric: value}}), words)
    assert claim.holds is False
    assert claim.verdict == "does not hold"


def test_images_that_do_not_flip_are_said_not_to() -> None:
    robust = {"mlp": ATTACKED["mlp"] | {"median_flipping_epsilon": None, "never_flipped_share": 0.7}}
    claim = find(judge(attacked=robust), "flip when they are moved")
    assert claim.holds is False
    assert "fewer than half are flipped; 70.0% are never flipped" in claim.shows
    claim = find(judge(attacked={"mlp": ATTACKED["mlp"] | {"bag_index": None}}), "A bag")
    assert (claim.holds, claim.shows) == (False, "Of the bags that the MLP is sure of, 0 become one.")


CLAIMS_OF = [
    ("regression-lr-1e-4", ["falls smoothly"]),
    ("regression-lr-1e-2", ["is noisy"]),
    ("mlp", ["from around epoch", "training loss falls", "MLP: the test accuracy", "ConvNet classifies"]),
    ("mlp-weight-decay", ["circles", "0.866"]),
    ("convnet", ["ConvNet classifies"]),
]


@pytest.mark.parametrize(("missing", "words"), CLAIMS_OF)
def test_a_claim_about_a_run_that_is_not_there_is_not_measured(missing: str, words: list[str]) -> None:
    judged = judge(trained={name: metrics for name, metrics in TRAINED.items() if name != missing})
    open_ones = [claim for claim in judged.values() if claim.holds is None]
    assert open_ones == [find(judged, word) for word in words]
    assert all(claim.verdict == "not measured" and missing in claim.shows for claim in open_ones)


@pytest.mark.parametrize(("run", "words"), CLAIMS_OF)
def test_a_claim_about_a_run_that_diverged_is_not_measured(run: str, words: list[str]) -> None:
    diverged = {"diverged": True, "diverged_epoch": 3}
    judged = judge(trained=TRAINED | {run: TRAINED[run] | diverged})
    open_ones = [claim for claim in judged.values() if claim.holds is None]
    assert open_ones == [find(judged, word) for word in words]
    assert {claim.shows for claim in open_ones} == {f"{run} diverged in epoch 3."}
    flipping = find(judge(attacked={"mlp": ATTACKED["mlp"] | diverged}), "flip when they are moved")
    assert (flipping.holds, flipping.shows) == (None, "mlp diverged in epoch 3.")


@pytest.mark.parametrize(
    ("source", "images"),
    [
        ("mnist", "MNIST"),
        ("kmnist", "Kuzushiji-MNIST"),
        ("folder", "images of a folder"),
        ("drawn", "drawn garments, not Fashion-MNIST"),
    ],
)
def test_claims_about_images_are_not_measured_on_other_images(source: str, images: str) -> None:
    judged = judge(source)
    about_images = list(STORY)[10:]
    assert {words for words in STORY if find(judged, words).holds is None} == set(about_images)
    assert {words: find(judged, words).holds for words in list(STORY)[:10]} == dict(list(STORY.items())[:10])
    assert {find(judged, words).shows for words in about_images} == {
        f"The images are {images}; the claim is about Fashion-MNIST."
    }


def test_a_claim_about_a_run_of_another_kind_is_not_measured() -> None:
    mlp_on_diabetes = {"final_train_loss": 2000.0, "test_r2": 0.4, "share_of_epochs_with_rising_train_loss": 0.0}
    judged = judge(trained=TRAINED | {"regression-lr-1e-4": mlp_on_diabetes, "mlp": mlp_on_diabetes})
    smooth = find(judged, "falls smoothly")
    assert (smooth.holds, smooth.shows) == (None, "regression-lr-1e-4 is no linear regression here.")
    onset = find(judged, "from around epoch 15")
    assert (onset.holds, onset.shows) == (None, "mlp is no classifier here.")


def test_without_an_attack_its_claims_are_not_measured() -> None:
    judged = judge(attacked={})
    assert [claim.section for claim in judged.values() if claim.holds is None] == ["adversarial"] * 2


def test_the_sentence_says_what_was_measured_and_not_what_was_hoped() -> None:
    calm = TRAINED | {"mlp": CLASSIFIER | {"overfitting_epoch": None}}
    assert "no epoch from which it rises" in find(judge(trained=calm), "from around epoch").shows
    accepting = THEORY | {"broadcasting_refused": False}
    assert "Our loss accepts these shapes" in find(judge(theory=accepting), "(n, 1)").shows
    failing = THEORY | {"sigmoid_gradcheck": False}
    assert "finite differences DISAGREE with the first derivative" in find(judge(theory=failing), "σ′").shows


def test_small_numbers_are_written_as_powers_of_ten() -> None:
    assert power(3.62e-15) == "3.6·10⁻¹⁵"
    assert power(0.0) == "0"
    assert power(12.0) == "1.2·10¹"
