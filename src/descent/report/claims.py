"""What the write-up claims, and whether a run bears it out: each verdict follows from the metrics."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from descent.sources.published import FASHION_MNIST, PUBLISHED, title

Metrics = Mapping[str, Any]
Runs = Mapping[str, Metrics]

# In float64: no difference between two ways to compute the same.
EXACT = 1e-10
# A curve is smooth if it rises in at most this share of its steps, and noisy from that share on.
SMOOTH, NOISY = 0.05, 0.2
# "About epoch 15", give or take.
ONSET, ONSET_TOLERANCE = 15, 5
# How far a measured accuracy may be from the one in the write-up, and a loss from the constant that it circles.
ACCURACY_TOLERANCE, LOSS_TOLERANCE = 0.015, 0.1
# "The training loss goes on falling": it ends below this share of the test loss.
MEMORISED = 0.25
# Two losses that are the same for the eye.
SAME_LOSS = 0.01
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
WORDS = {True: "holds", False: "does not hold", None: "not measured"}


class Kind(NamedTuple):
    """What a run must be for a claim, and the metric that only such a run has."""

    words: str
    metric: str


REGRESSION = Kind("linear regression", "hovering_excess_over_least_squares")
CLASSIFIER = Kind("classifier", "final_test_accuracy")
ATTACKED = Kind("attacked classifier", "median_flipping_epsilon")


class Claim(NamedTuple):
    """A sentence, whether this run bears it out (None: it was not measured), and the numbers that say so."""

    section: str
    says: str
    holds: bool | None
    shows: str
    ours: bool = False  # not the write-up's: checked as well

    @property
    def verdict(self) -> str:
        """Say it in words."""
        return WORDS[self.holds]


def claims(source: str, theory: Metrics, trained: Runs, attacked: Runs) -> list[Claim]:
    """Judge every claim.

    Args:
        source: Of the images, as in `metrics/data.json`; the write-up speaks of Fashion-MNIST.
        theory: `metrics/theory.json`.
        trained: `metrics/train/RUN.json` by run; the write-up's are `regression-lr-1e-4`, `regression-lr-1e-2`,
            `mlp`, `mlp-weight-decay` and `convnet`.
        attacked: `metrics/attack/RUN.json` by run.

    Returns:
        The claims in the order of the write-up. One whose run is missing or diverged is there too, as not measured,
        and so is each claim about images where these are others.
    """
    of_images = [*_mlp(trained), *_weight_decay(trained), _convnet(trained), _flips(attacked), _bag(attacked)]
    if source != FASHION_MNIST:
        why = f"The images are {title(source)}; the claim is about {PUBLISHED[FASHION_MNIST].title}."
        of_images = [Claim(claim.section, claim.says, None, why) for claim in of_images]
    return [
        *_parametrised_relu(theory),
        _sigmoid(theory),
        *_learning_rate(theory),
        _broadcasting(theory),
        *_regression(trained),
        *of_images,
    ]


def _parametrised_relu(theory: Metrics) -> list[Claim]:
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


def _sigmoid(theory: Metrics) -> Claim:
    m = _part(theory, "sigmoid")
    return Claim(
        "sigmoid",
        "σ′(x) = σ(x)(1 − σ(x)).",
        m["symbolic_difference"] == "0" and m["gradcheck"] and m["gradgradcheck"] and m["largest_difference"] <= EXACT,
        f"Computer algebra simplifies the difference to {m['symbolic_difference']}; finite differences "
        f"{_agree(m['gradcheck'])} with the first derivative and {_agree(m['gradgradcheck'])} with the second; along "
        f"the graph autograd differs by at most {power(m['largest_difference'])}.",
    )


def _learning_rate(theory: Metrics) -> list[Claim]:
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
            f"Of the rates tried, the largest that converges is {_times(below)} that threshold, and the smallest that "
            f"diverges {_times(above)}.",
            ours=True,
        ),
        Claim(
            section,
            "In batches it diverges as soon as the rate is beyond the threshold of the worst batch.",
            held is not None and held <= worst,
            f"The worst batch has its threshold at {worst:.2f} times that of all examples; of the rates tried the "
            f"largest that converges is {_times(held)}, and the smallest that diverges {_times(first)}.",
            ours=True,
        ),
    ]


def _broadcasting(theory: Metrics) -> Claim:
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


def _regression(trained: Runs) -> list[Claim]:
    section, small, large = "regression", "regression-lr-1e-4", "regression-lr-1e-2"
    found = []
    for run, says in (
        (small, "Linear regression: at learning rate 0.0001 the loss falls smoothly."),
        (large, "Linear regression: at learning rate 0.01 the loss is noisy."),
    ):
        if why := _lacking(trained, run, kind=REGRESSION):
            found.append(Claim(section, says, None, why))
            continue
        m = trained[run]
        rises = m["share_of_epochs_with_rising_train_loss"]
        shows = (
            f"It rises in {rises:.0%} of the epochs, and over their second half is "
            f"{m['hovering_excess_over_least_squares']:.1%} above the optimum on average; the rate is "
            f"{_times(m['learning_rate_over_threshold'])} 2/λmax."
        )
        found.append(Claim(section, says, rises <= SMOOTH if run == small else rises >= NOISY, shows))
    return found


def _mlp(trained: Runs) -> list[Claim]:
    section, run = "mlp", "mlp"
    onset = f"MLP: without weight decay the test loss rises from around epoch {ONSET}."
    memory = "MLP: meanwhile the training loss falls to 0.05, and the training accuracy rises to 0.98."
    accuracy = "MLP: the test accuracy is 0.88."
    if why := _lacking(trained, run, kind=CLASSIFIER):
        return [Claim(section, says, None, why) for says in (onset, memory, accuracy)]
    m = trained[run]
    epoch = m["overfitting_epoch"]
    where = "no epoch from which it rises" if epoch is None else f"it rises from epoch {epoch}"
    return [
        Claim(
            section,
            onset,
            epoch is not None and abs(epoch - ONSET) <= ONSET_TOLERANCE,
            f"Averaged over a few epochs, {where}; its lowest value is {m['best_test_loss']:.3f} at epoch "
            f"{m['best_epoch']}, its last {m['final_test_loss']:.3f}.",
        ),
        Claim(
            section,
            memory,
            m["final_train_loss"] <= MEMORISED * m["final_test_loss"]
            and abs(m["final_train_accuracy"] - 0.98) <= ACCURACY_TOLERANCE,
            f"They end at {m['final_train_loss']:.3f} and {m['final_train_accuracy']:.3f}.",
        ),
        _accuracy(section, accuracy, m, 0.88),
    ]


def _weight_decay(trained: Runs) -> list[Claim]:
    section, run = "weight-decay", "mlp-weight-decay"
    circles = "MLP: with weight decay the test loss circles a constant."
    accuracy = "MLP: with weight decay the test accuracy is 0.866."
    if why := _lacking(trained, run, kind=CLASSIFIER):
        return [Claim(section, says, None, why) for says in (circles, accuracy)]
    m = trained[run]
    stray, epoch = m["second_half_test_loss_deviation"], m["overfitting_epoch"]
    tail = "no overfitting is seen" if epoch is None else f"overfitting is seen from epoch {epoch}"
    return [
        Claim(
            section,
            circles,
            epoch is None and stray <= LOSS_TOLERANCE,
            f"Over the second half of the epochs it strays from its mean by at most {stray:.1%}; {tail}.",
        ),
        _accuracy(section, accuracy, m, 0.866),
    ]


def _convnet(trained: Runs) -> Claim:
    section, says = "convnet", "A ConvNet classifies better than the MLP."
    if why := _lacking(trained, "convnet", "mlp", kind=CLASSIFIER):
        return Claim(section, says, None, why)
    own, other = trained["convnet"]["final_test_accuracy"], trained["mlp"]["final_test_accuracy"]
    return Claim(section, says, own > other, f"Test accuracy {own:.4f} against {other:.4f}.")


def _flips(attacked: Runs) -> Claim:
    section = "adversarial"
    says = "Images that are classified correctly flip when they are moved by ε · sign ∂loss/∂image."
    if why := _lacking(attacked, "mlp", kind=ATTACKED):
        return Claim(section, says, None, why)
    m = attacked["mlp"]
    middle = m["median_flipping_epsilon"]
    shares = f"{m['never_flipped_share']:.1%} are never flipped."
    words = "fewer than half are flipped" if middle is None else f"half of them flip by ε = {middle:.3f} (white is 1)"
    return Claim(section, says, middle is not None, f"On the MLP {words}; {shares}")


def _bag(attacked: Runs) -> Claim:
    section, says = "adversarial", "A bag, given 0.992, becomes a T-shirt/top, given 0.37."
    if why := _lacking(attacked, "mlp", kind=ATTACKED):
        return Claim(section, says, None, why)
    m = attacked["mlp"]
    if m["bag_index"] is None:
        return Claim(section, says, False, "Of the bags that the MLP is sure of, 0 become one.")
    return Claim(
        section,
        says,
        m["bag_t_shirt_confidence"] < m["bag_clean_confidence"],
        f"Test image {m['bag_index']}, a bag given {m['bag_clean_confidence']:.3f}, is a T-shirt/top given "
        f"{m['bag_t_shirt_confidence']:.3f} at ε = {m['bag_epsilon']:.3f}.",
    )


def _accuracy(section: str, says: str, m: Metrics, expected: float) -> Claim:
    """Judge a test accuracy by its distance from the write-up's."""
    own = m["final_test_accuracy"]
    shows = f"It is {own:.4f} at the end, and {m['best_test_accuracy']:.4f} at its best."
    return Claim(section, says, abs(own - expected) <= ACCURACY_TOLERANCE, shows)


def _lacking(runs: Runs, *names: str, kind: Kind) -> str | None:
    """Say what stands in the way of a verdict on these runs."""
    for name in names:
        if name not in runs:
            return f"There is no {name} here: it was not trained, or not attacked."
        if kind.metric not in runs[name]:
            return f"{name} is no {kind.words} here."
        if runs[name].get("diverged"):
            return f"{name} diverged in epoch {runs[name]['diverged_epoch']}."
    return None


def _part(theory: Metrics, part: str) -> dict[str, Any]:
    return {name.removeprefix(f"{part}_"): m for name, m in theory.items() if name.startswith(f"{part}_")}


def power(value: float) -> str:
    """Write a small number as a power of ten."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def _agree(passed: bool) -> str:
    return "agree" if passed else "DISAGREE"


def _times(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.3g} times"
