"""The claims of the write-up, each judged by a rule on the metrics."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from descent.report.theory_claims import theory_claims
from descent.report.verdict import Claim, times
from descent.sources.published import FASHION_MNIST, PUBLISHED, title

MetricsByRun = Mapping[str, Mapping[str, Any]]

# A curve is smooth if it rises in at most this share of its steps, and noisy from that share on.
SMOOTH, NOISY = 0.05, 0.2
# "About epoch 15": within this many epochs.
ONSET, ONSET_TOLERANCE = 15, 5
# Largest difference of an accuracy from the write-up's, and largest relative one of a loss from its mean.
ACCURACY_TOLERANCE, LOSS_TOLERANCE = 0.015, 0.1
# "The training loss goes on falling": it ends below this share of the test loss.
MEMORISED = 0.25


class RunKind(NamedTuple):
    """A kind of run that a claim is about, and a metric that only this kind has."""

    words: str
    metric: str


REGRESSION = RunKind("linear regression", "hovering_excess_over_least_squares")
CLASSIFIER = RunKind("classifier", "final_test_accuracy")
ATTACKED = RunKind("attacked classifier", "median_flipping_epsilon")


def claims(source: str, theory: Mapping[str, Any], trained: MetricsByRun, attacked: MetricsByRun) -> list[Claim]:
    """Judge every claim.

    Args:
        source: Of the images, as in `metrics/data.json`; the write-up used Fashion-MNIST.
        theory: `metrics/theory.json`.
        trained: `metrics/train/RUN.json` by run; the write-up's are `regression-lr-1e-4`, `regression-lr-1e-2`,
            `mlp`, `mlp-weight-decay` and `convnet`.
        attacked: `metrics/attack/RUN.json` by run.

    Returns:
        All claims in the order of the write-up. A claim is not measured if its run is missing or diverged, or
        if it is about images and these are not Fashion-MNIST.
    """
    of_images = [*_mlp(trained), *_weight_decay(trained), _convnet(trained), _flips(attacked), _bag(attacked)]
    if source != FASHION_MNIST:
        why = f"The images are {title(source)}; the claim is about {PUBLISHED[FASHION_MNIST].title}."
        of_images = [Claim(claim.section, claim.says, None, why) for claim in of_images]
    return [*theory_claims(theory), *_regression(trained), *of_images]


def _regression(trained: MetricsByRun) -> list[Claim]:
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
            f"{times(m['learning_rate_over_threshold'])} 2/λmax."
        )
        found.append(Claim(section, says, rises <= SMOOTH if run == small else rises >= NOISY, shows))
    return found


def _mlp(trained: MetricsByRun) -> list[Claim]:
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


def _weight_decay(trained: MetricsByRun) -> list[Claim]:
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


def _convnet(trained: MetricsByRun) -> Claim:
    section, says = "convnet", "A ConvNet classifies better than the MLP."
    if why := _lacking(trained, "convnet", "mlp", kind=CLASSIFIER):
        return Claim(section, says, None, why)
    own, other = trained["convnet"]["final_test_accuracy"], trained["mlp"]["final_test_accuracy"]
    return Claim(section, says, own > other, f"Test accuracy {own:.4f} against {other:.4f}.")


def _flips(attacked: MetricsByRun) -> Claim:
    section = "adversarial"
    says = "Images that are classified correctly flip when they are moved by ε · sign ∂loss/∂image."
    if why := _lacking(attacked, "mlp", kind=ATTACKED):
        return Claim(section, says, None, why)
    m = attacked["mlp"]
    middle = m["median_flipping_epsilon"]
    shares = f"{m['never_flipped_share']:.1%} are never flipped."
    words = "fewer than half are flipped" if middle is None else f"half of them flip by ε = {middle:.3f} (white is 1)"
    return Claim(section, says, middle is not None, f"On the MLP {words}; {shares}")


def _bag(attacked: MetricsByRun) -> Claim:
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


def _accuracy(section: str, says: str, m: Mapping[str, Any], expected: float) -> Claim:
    """Judge a test accuracy by its distance from the write-up's."""
    own = m["final_test_accuracy"]
    shows = f"It is {own:.4f} at the end, and {m['best_test_accuracy']:.4f} at its best."
    return Claim(section, says, abs(own - expected) <= ACCURACY_TOLERANCE, shows)


def _lacking(runs: MetricsByRun, *names: str, kind: RunKind) -> str | None:
    """Return why a claim about these runs cannot be judged, None if it can."""
    for name in names:
        if name not in runs:
            return f"There is no {name} here: it was not trained, or not attacked."
        if kind.metric not in runs[name]:
            return f"{name} is no {kind.words} here."
        if runs[name].get("diverged"):
            return f"{name} diverged in epoch {runs[name]['diverged_epoch']}."
    return None
