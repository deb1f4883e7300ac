"""The claims about the theory, each judged by a rule on `metrics/theory.json`."""

from collections.abc import Mapping
from typing import Any

from descent.report.verdict import Claim, power, times

# Largest difference, in float64, between two ways to compute the same number.
EXACT = 1e-10
# Largest relative difference of two losses that count as equal.
SAME_LOSS = 0.01


def theory_claims(theory: Mapping[str, Any]) -> list[Claim]:
    """Judge the claims about the theory in the order of the write-up."""
    return [*_parametrised_relu(theory), _sigmoid(theory), *_learning_rate(theory), _broadcasting(theory)]


def _parametrised_relu(theory: Mapping[str, Any]) -> list[Claim]:
    m = _part(theory, "parametrised_relu")
    section = "parametrised-relu"
    without, border = m["no_bias_at_zero"], m["zero_padding_border_error"]
    found = without > m["no_bias_relu_at_zero"] or border > EXACT
    return [
        Claim(
            section,
            "A parametrised ReLU defines no function that an ordinary ReLU with other biases does not.",
            m["max_error"] <= EXACT,
            f"{m['networks']} random networks and their ordinary twins differ by at most {power(m['max_error'])}.",
        ),
        Claim(
            section,
            "To absorb o it is enough to subtract it from the bias before.",
            m["slip_mean_error"] <= EXACT,
            f"Without W₂o in the bias after, the outputs are off by {m['slip_mean_error']:.2f} on average, and the "
            f"error is W₂o to within {power(m['slip_minus_w2o'])}.",
        ),
        Claim(
            section,
            "So it is wherever the layer stands: without biases, before any convolution.",
            not found,
            f"Without biases |f(0)| = {without:.2f} where {m['networks']} ReLU networks have at most "
            f"{m['no_bias_relu_at_zero']:g}; before a zero-padded convolution the twin is off by up to {border:.2f} at "
            f"the border, by {power(m['zero_padding_inside_error'])} inside, and by {power(m['valid_padding_error'])} "
            "where nothing is padded.",
        ),
    ]


def _sigmoid(theory: Mapping[str, Any]) -> Claim:
    m = _part(theory, "sigmoid")
    return Claim(
        "sigmoid",
        "σ′(x) = σ(x)(1 − σ(x)).",
        m["symbolic_difference"] == "0" and m["gradcheck"] and m["gradgradcheck"] and m["largest_difference"] <= EXACT,
        f"Computer algebra simplifies the difference to {m['symbolic_difference']}; finite differences "
        f"{_agree(m['gradcheck'])} with the first derivative and {_agree(m['gradgradcheck'])} with the second; along "
        f"the graph autograd differs by at most {power(m['largest_difference'])}.",
    )


def _learning_rate(theory: Mapping[str, Any]) -> list[Claim]:
    m = _part(theory, "learning_rate")
    section = "learning-rate"
    below, above = m["full_batch_converges_at"], m["full_batch_diverges_at"]
    held, first, worst = m["mini_batch_converges_at"], m["mini_batch_diverges_at"], m["worst_batch_threshold"]
    return [
        Claim(
            section,
            "Full-batch gradient descent takes the path w* + (I − ηH)ᵏ(w₀ − w*).",
            m["closed_form_error"] <= EXACT,
            f"The run and the formula differ by at most {power(m['closed_form_error'])} of the largest weight.",
            ours=True,
        ),
        Claim(
            section,
            "Full-batch gradient descent converges below the learning rate 2/λmax and diverges above.",
            below is not None and above is not None and below < 1 < above,
            f"Of the rates tried, the largest that converges is {times(below)} that threshold, and the smallest that "
            f"diverges {times(above)}.",
            ours=True,
        ),
        Claim(
            section,
            "In batches it diverges as soon as the rate is beyond the threshold of the worst batch.",
            held is not None and held <= worst,
            f"The worst batch has its threshold at {worst:.2f} times that of all examples; of the rates tried the "
            f"largest that converges is {times(held)}, and the smallest that diverges {times(first)}.",
            ours=True,
        ),
    ]


def _broadcasting(theory: Mapping[str, Any]) -> Claim:
    m = _part(theory, "broadcasting")
    slipped, right = m["slipped_loss"], m["right_loss"]
    return Claim(
        "broadcasting",
        "The mean of the squares of (n, 1) − (n,) is the mean squared error.",
        abs(slipped / right - 1) <= SAME_LOSS,
        f"Descended for as many steps, it ends at {slipped:.0f}, on shuffled targets at "
        f"{m['slipped_loss_on_shuffled_targets']:.0f}, and Var(y) is {m['variance']:.0f}; the mean squared error "
        f"ends at {right:.0f}. Our loss {'refuses' if m['refused'] else 'accepts'} these shapes.",
    )


def _part(theory: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the metrics of one part of the theory, without its prefix."""
    return {name.removeprefix(f"{part}_"): m for name, m in theory.items() if name.startswith(f"{part}_")}


def _agree(passed: bool) -> str:
    return "agree" if passed else "DISAGREE"
