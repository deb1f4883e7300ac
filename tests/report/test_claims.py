"""A verdict follows from the metrics: those of the write-up's story, and those that contradict it."""

from typing import Any

import pytest

from descent.io.results import load_metrics
from descent.report.claims import Claim, claims
from descent.report.markup import power
from tests.imports import ROOT

METRICS = ROOT / "metrics"
THEORY = load_metrics(METRICS / "theory.json")
TRAINED = {path.stem: load_metrics(path) for path in (METRICS / "train").iterdir()}
TRAINED["mlp-weight-decay"] |= {"second_half_test_loss_deviation": 0.07}
ATTACKED = {path.stem: load_metrics(path) for path in (METRICS / "attack").iterdir()}


def judge(source: str = "fashion-mnist", **changed: Any) -> dict[str, Claim]:  # noqa: ANN401
    """Return the claims by what they say, on the committed metrics with changes."""
    known: dict[str, Any] = {"theory": THEORY, "trained": TRAINED, "attacked": ATTACKED}
    return {claim.says: claim for claim in claims(source, **known | changed)}


def find(judged: dict[str, Claim], words: str) -> Claim:
    """Return the one claim that contains these words."""
    (claim,) = (claim for says, claim in judged.items() if words in says)
    return claim


STORY = dict.fromkeys(("defines no function", "enough to subtract it", "wherever the layer stands", "σ′(x)"), True)
STORY |= dict.fromkeys(("takes the path", "converges below", "worst batch", "(n, 1) − (n,)"), True)
STORY |= dict.fromkeys(("0.0001 the loss falls smoothly", "0.01 the loss is noisy"), True)
STORY |= dict.fromkeys(("rises from around epoch 15", "the training loss falls to 0.05"), True)
STORY |= dict.fromkeys(("MLP: the test accuracy is 0.88", "circles a constant", "test accuracy is 0.866"), True)
STORY |= dict.fromkeys(("ConvNet classifies better", "flip when they are moved", "A bag, given 0.992"), True)
STORY |= dict.fromkeys(("enough to subtract it", "wherever the layer stands", "worst batch", "(n, 1) − (n,)"), False)


def test_the_claims_have_the_verdicts_of_the_story_and_numbers() -> None:
    judged = judge()
    assert [find(judged, words) for words in STORY] == list(judged.values())
    assert {words: find(judged, words).holds for words in STORY} == STORY
    for claim in judged.values():
        assert any(character.isdigit() for character in claim.shows), claim.says
        assert claim.verdict == ("holds" if claim.holds else "does not hold")
        assert claim.ours == (claim.section == "learning-rate")


@pytest.mark.parametrize(
    ("words", "run", "metric", "value"),
    [
        ("defines no function", "theory", "parametrised_relu_max_error", 1e-3),
        ("enough to subtract it", "theory", "parametrised_relu_slip_mean_error", 1e-12),
        ("σ′(x)", "theory", "sigmoid_symbolic_difference", "exp(-x)"),
        ("σ′(x)", "theory", "sigmoid_gradcheck", False),
        ("σ′(x)", "theory", "sigmoid_gradgradcheck", False),
        ("σ′(x)", "theory", "sigmoid_largest_difference", 1e-3),
        ("takes the path", "theory", "learning_rate_closed_form_error", 1e-3),
        ("converges below", "theory", "learning_rate_full_batch_converges_at", 1.2),
        ("converges below", "theory", "learning_rate_full_batch_converges_at", None),
        ("converges below", "theory", "learning_rate_full_batch_diverges_at", 0.99),
        ("converges below", "theory", "learning_rate_full_batch_diverges_at", None),
        ("worst batch", "theory", "learning_rate_mini_batch_converges_at", 0.2),
        ("(n, 1) − (n,)", "theory", "broadcasting_slipped_loss", THEORY["broadcasting_right_loss"]),
        ("0.0001 the loss falls smoothly", "regression-lr-1e-4", "share_of_epochs_with_rising_train_loss", 0.1),
        ("0.01 the loss is noisy", "regression-lr-1e-2", "share_of_epochs_with_rising_train_loss", 0.1),
        ("rises from around epoch 15", "mlp", "overfitting_epoch", None),
        ("rises from around epoch 15", "mlp", "overfitting_epoch", 3),
        ("the training loss falls to 0.05", "mlp", "final_train_loss", 0.4),
        ("the training loss falls to 0.05", "mlp", "final_train_accuracy", 0.9),
        ("MLP: the test accuracy is 0.88", "mlp", "final_test_accuracy", 0.86),
        ("circles a constant", "mlp-weight-decay", "overfitting_epoch", 20),
        ("circles a constant", "mlp-weight-decay", "second_half_test_loss_deviation", 0.3),
        ("test accuracy is 0.866", "mlp-weight-decay", "final_test_accuracy", 0.84),
        ("ConvNet classifies better", "convnet", "final_test_accuracy", 0.87),
    ],
)
def test_a_contradicting_number_turns_the_verdict(words: str, run: str, metric: str, value: object) -> None:
    known = THEORY if run == "theory" else TRAINED[run]
    assert metric in known
    changed = known | {metric: value}
    judged = judge(theory=changed) if run == "theory" else judge(trained=TRAINED | {run: changed})
    assert find(judged, words).holds is (not STORY[words])


def test_the_claim_for_any_layer_takes_both_counterexamples_away_to_hold() -> None:
    both = {"parametrised_relu_no_bias_at_zero": 0.0, "parametrised_relu_zero_padding_border_error": 1e-15}
    for changed in (*({name: value} for name, value in both.items()), both):
        assert find(judge(theory=THEORY | changed), "wherever the layer stands").holds is (changed is both)


def test_a_contradicting_attack_turns_the_verdict() -> None:
    cases: list[tuple[str, dict[str, object], str]] = [
        ("flip when", {"median_flipping_epsilon": None, "never_flipped_share": 0.7}, "fewer than half are flipped; 70"),
        ("A bag", {"bag_index": None}, "Of the bags that the MLP is sure of, 0 become one."),
        ("A bag", {"bag_clean_confidence": 0.1}, "a bag given 0.100, is a T-shirt/top given"),
    ]
    for words, change, shows in cases:
        claim = find(judge(attacked={"mlp": ATTACKED["mlp"] | change}), words)
        assert claim.holds is False
        assert shows in claim.shows


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("regression-lr-1e-4", ["falls smoothly"]),
        ("regression-lr-1e-2", ["is noisy"]),
        ("mlp", ["from around epoch", "training loss falls", "MLP: the test accuracy", "ConvNet classifies"]),
        ("mlp-weight-decay", ["circles", "0.866"]),
        ("convnet", ["ConvNet classifies"]),
        ("attacked", ["flip when they are moved", "A bag"]),
    ],
)
def test_a_claim_about_a_missing_diverged_or_other_run_is_not_measured(run: str, words: list[str]) -> None:
    kind, name, runs = ("attacked", "mlp", ATTACKED) if run == "attacked" else ("trained", run, TRAINED)
    for changed, shows in (
        ({other: metrics for other, metrics in runs.items() if other != name}, f"There is no {name} here"),
        (runs | {name: runs[name] | {"diverged": True, "diverged_epoch": 3}}, f"{name} diverged in epoch 3."),
        (runs | {name: {"test_r2": 0.4}}, f"{name} is no "),
    ):
        judged = judge(**{kind: changed})  # type: ignore[arg-type] # of keyword arguments alone
        open_ones = [claim for claim in judged.values() if claim.holds is None]
        assert open_ones == [find(judged, word) for word in words]
        assert all(claim.verdict == "not measured" and shows in claim.shows for claim in open_ones)


@pytest.mark.parametrize(("source", "images"), [("kmnist", "Kuzushiji-MNIST"), ("drawn", "drawn garments")])
def test_claims_about_images_are_not_measured_on_other_images(source: str, images: str) -> None:
    judged, about_images = judge(source), list(STORY)[10:]
    assert {words: find(judged, words).holds for words in STORY} == STORY | dict.fromkeys(about_images)
    assert all(f"The images are {images}" in find(judged, words).shows for words in about_images)


def test_the_sentence_says_what_was_measured_and_not_what_was_hoped() -> None:
    calm = TRAINED | {"mlp": TRAINED["mlp"] | {"overfitting_epoch": None}}
    assert "no epoch from which it rises" in find(judge(trained=calm), "from around epoch").shows
    changed = judge(theory=THEORY | {"broadcasting_refused": False, "sigmoid_gradcheck": False})
    assert "Our loss accepts these shapes" in find(changed, "(n, 1)").shows
    assert "finite differences DISAGREE with the first derivative" in find(changed, "σ′").shows
    assert list(map(power, (3.62e-15, 0.0, 12.0))) == ["3.6·10⁻¹⁵", "0", "1.2·10¹"]
