"""Robustness is counted right, on models whose answers are known beforehand."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from descent.attacks.gradient_sign import fgsm, moved
from descent.io.datasets import Split
from descent.io.schema import PGD, Bench
from descent.robustness.assessment import assess, confusion, pgd_curve, quantiles, smallest_flips, write_up
from descent.robustness.examples import Flips, least_confident_flip, typical_of_each_class
from descent.robustness.sweep import along, directions, sweep, wilson, zero_gradient_share
from descent.sources.published import FASHION_CLASSES as CLASSES


class Brightness(nn.Module):
    """Says 1 where the mean pixel is above one half, else 0, surer the further away it is."""

    def forward(self, x: Tensor) -> Tensor:
        excess = 10 * (x.flatten(1).mean(dim=1) - 0.5)
        return torch.stack([-excess, excess], dim=1)


def grey(*levels: float) -> Tensor:
    """Return an image of one grey for each level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 2, 2).clone()


DATA = Split(grey(0.30, 0.45, 0.60, 0.90), torch.tensor([0, 0, 1, 0]))  # the last is misclassified
DIRECTION = grey(1.0, 1.0, -1.0, -1.0)
EPSILONS = [0.0, 0.06, 0.15, 0.25]


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def expired(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_the_direction_raises_the_loss_whatever_the_batch(batch_size: int) -> None:
    # The misclassified image is moved further up, away from its class.
    assert torch.equal(directions(Brightness(), DATA, batch_size), grey(1.0, 1.0, -1.0, 1.0))


def test_the_sweep_counts_all_images_and_apart_those_that_were_correct(rng: torch.Generator) -> None:
    rows, predicted, confidence = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)

    assert [row["epsilon"] for row in rows] == EPSILONS
    assert [row["accuracy"] for row in rows] == [0.75, 0.5, 0.25, 0.0]
    assert [row["success_rate"] for row in rows] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert predicted.tolist() == [[0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 1]]
    sure = torch.sigmoid(20 * torch.tensor([0.2, 0.05, 0.1, 0.4])).mean().item()
    assert rows[0]["mean_confidence"] == pytest.approx(sure)
    assert confidence.mean(dim=1).tolist() == pytest.approx([row["mean_confidence"] for row in rows])
    assert rows[0]["noise_accuracy"] == rows[0]["accuracy"]
    assert all(row["low"] < row["accuracy"] < row["high"] for row in rows[:3])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (837, 1000), (1, 10000)])
def test_the_interval_is_scipys(successes: int, n: int) -> None:
    theirs = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_batch_by_batch_every_image_is_moved_by_every_epsilon(batch_size: int) -> None:
    logits = along(Brightness(), DATA.x, DIRECTION, EPSILONS, batch_size)
    levels = torch.tensor([[0.30, 0.45, 0.60, 0.90]]) + torch.outer(torch.tensor(EPSILONS), DIRECTION[:, 0, 0, 0])
    torch.testing.assert_close(logits[:, :, 1], 10 * (levels.clamp(0, 1) - 0.5))


def test_the_write_up_moves_by_columns_and_clips_nothing() -> None:
    # Pixels whose columns have lengths 0, 10, 50 and 100: a hundredth of that is added, beyond white too.
    lengths = torch.tensor([[[0.0, 10.0], [50.0, 100.0]]])
    row, pictures = write_up(Brightness(), DATA, DIRECTION * lengths, 0.01, torch.tensor([3]), 3)

    assert row["write_up_mean_change"] == pytest.approx(0.4)
    # Below black fall 0.60 − 1 and 0.90 − 1, beyond white rise 0.30 + 1 and 0.45 + 1.
    assert row["write_up_share_out_of_range"] == pytest.approx(4 / 16)
    assert row["write_up_accuracy"] == 0.25  # 0.70, 0.85, 0.20 and 0.50 on average: all but the last are wrong
    torch.testing.assert_close(pictures["direction"], -0.01 * lengths[None])
    torch.testing.assert_close(pictures["adversarial"], 0.9 - 0.01 * lengths[None])


@pytest.mark.parametrize("tolerance", [0.01, 1e-4])
def test_the_smallest_flip_is_found_to_the_tolerance(tolerance: float, rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, EPSILONS, predicted, tolerance, batch_size=2)

    expected = torch.tensor([0.2, 0.05, 0.1, 0.0])
    assert ((flips.epsilon - expected) >= -1e-6).all()
    assert ((flips.epsilon - expected) <= tolerance + 1e-6).all()
    assert flips.becomes.tolist() == [1, 1, 0, 1]
    assert flips.confidence[:3].tolist() == pytest.approx([0.5] * 3, abs=20 * tolerance)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-8, 1e-12, 1e-45, 1e-300])
def test_bisection_ends_where_float32_has_no_value_between(tolerance: float, rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS, 3, rng)
    with time_limit(10):
        flips = smallest_flips(Brightness(), DATA, DIRECTION, EPSILONS, predicted, tolerance, batch_size=2)
    for epsilon, flipped in ((flips.epsilon, True), (flips.epsilon - max(tolerance, 1e-7), False)):
        images = moved(DATA.x, DIRECTION * epsilon.view(-1, 1, 1, 1), 1.0)
        wrong = Brightness()(images).argmax(dim=1) != DATA.y
        assert wrong.tolist() == [flipped] * 3 + [True]  # the last is misclassified unmoved


@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-4, 1e-6])
def test_at_larger_tolerances_bisection_halves_until_the_widest_interval_is_small_enough(
    tolerance: float, rng: torch.Generator
) -> None:
    epsilons = [0.0, 0.005, 0.06, 0.3]
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, epsilons, 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, epsilons, predicted, tolerance, batch_size=2)

    low, high = torch.tensor([0.06, 0.005, 0.06]), torch.tensor([0.3, 0.06, 0.3])
    while (high - low).max() > tolerance:
        middle = (low + high) / 2
        images = moved(DATA.x[:3], DIRECTION[:3] * middle.view(-1, 1, 1, 1), 1.0)
        flipped = Brightness()(images).argmax(dim=1) != DATA.y[:3]
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
    assert torch.equal(flips.epsilon[:3], high)


def test_what_no_epsilon_flips_is_infinite_and_stays_what_it_is(rng: torch.Generator) -> None:
    _, predicted, _ = sweep(Brightness(), DATA, DIRECTION, EPSILONS[:2], 3, rng)
    flips = smallest_flips(Brightness(), DATA, DIRECTION, EPSILONS[:2], predicted, 1e-3, batch_size=2)
    assert flips.epsilon.isinf().tolist() == [True, False, True, False]
    assert flips.becomes[[0, 2]].tolist() == [0, 1]


def test_quantiles_are_of_the_recognised_images_and_leave_out_what_never_flips() -> None:
    flips = Flips(torch.tensor([0.1, 0.2, 0.3, torch.inf, torch.inf, 0.0]), torch.zeros(6).long(), torch.zeros(6))
    y = torch.tensor([0, 0, 0, 0, 0, 1])
    rows = quantiles(flips, y, CLASSES, torch.tensor([True] * 5 + [False]))
    assert [(row["series"], row["quantile"]) for row in rows] == [(CLASSES[0], share) for share in (0.05, 0.25, 0.5)]
    assert [row["epsilon"] for row in rows] == pytest.approx([0.1, 0.2, 0.3])


def test_confusion_counts_what_each_class_is_taken_for() -> None:
    rows = confusion(torch.tensor([0, 0, 0, 9]), torch.tensor([0, 6, 6, 9]), CLASSES)
    assert len(rows) == 100
    counted = {(row["actual"], row["predicted"]): row["images"] for row in rows if row["images"]}
    assert counted == {("T-shirt/top", "T-shirt/top"): 1, ("T-shirt/top", "Shirt"): 2, ("Ankle boot", "Ankle boot"): 1}


def test_pgd_is_no_weaker_than_fgsm_on_the_same_images(rng: torch.Generator) -> None:
    settings = PGD(images=3, epsilons=[0.06, 0.25], steps=4, step=0.5, restarts=2)
    rows = pgd_curve(Brightness(), DATA, directions(Brightness(), DATA, 4), settings, 2, rng)
    assert [row["epsilon"] for row in rows] == [0.06, 0.25]
    assert [row["accuracy"] for row in rows] == pytest.approx([2 / 3, 0])
    assert [row["fgsm_accuracy"] for row in rows] == pytest.approx([2 / 3, 0])


def test_what_has_fallen_stays_fallen_and_is_not_attacked_again(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[tuple[float, int]] = []

    def recording(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, **settings: object) -> Tensor:
        attacked.append((epsilon, len(x)))
        return fgsm(model, x, y, epsilon)

    monkeypatch.setattr("descent.robustness.assessment.pgd", recording)
    settings = PGD(images=4, epsilons=[0.06, 0.15, 0.25, 0.3], steps=1, step=1.0, restarts=1)
    rows = pgd_curve(Brightness(), DATA, directions(Brightness(), DATA, 4), settings, 2, rng)
    # Three are recognised to begin with; 0.06 takes the second, 0.15 the third, 0.25 the first.
    assert attacked == [(0.06, 2), (0.06, 1), (0.15, 2), (0.25, 1)]
    assert [row["accuracy"] for row in rows] == [0.5, 0.25, 0, 0]


def test_an_image_without_any_gradient_is_counted() -> None:
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e4] * 4, [-1e4] * 4]))
    saturated = nn.Sequential(nn.Flatten(), layer)
    data = Split(grey(0.9, 0.8), torch.tensor([0, 1]))  # sure and right; sure and wrong

    assert zero_gradient_share(directions(saturated, data, 2)) == 0.5


def test_the_picture_of_a_class_is_its_median_flip() -> None:
    flips = Flips(
        epsilon=torch.tensor([0.3, 0.0, 0.1, 0.2, torch.inf, torch.inf]),
        becomes=torch.tensor([1, 1, 1, 1, -1, -1]),
        confidence=torch.rand(6),
    )
    assert typical_of_each_class(flips, torch.tensor([0, 0, 0, 0, 0, 1]), classes=3).tolist() == [3]


def test_the_bag_is_the_least_confident_among_the_sure_ones() -> None:
    flips = Flips(
        epsilon=torch.tensor([0.1, 0.1, 0.1, 0.0, 0.1, 0.1]),
        becomes=torch.tensor([7, 7, 7, 7, 6, 7]),
        confidence=torch.tensor([0.5, 0.4, 0.1, 0.2, 0.1, 0.3]),
    )
    y = torch.tensor([8, 8, 8, 8, 8, 5])
    sure = torch.tensor([True, True, False, True, True, True])

    assert least_confident_flip(flips, y, before=8, after=7, sure=sure) == 1
    assert least_confident_flip(flips, y, before=8, after=0, sure=sure) is None


BAG, T_SHIRT = CLASSES.index("Bag"), CLASSES.index("T-shirt/top")


class BagOrShirt(nn.Module):
    """Ten logits, of which only those of bag and T-shirt ever win."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full((len(x), 10), -20.0)
        two = Brightness()(x)
        return logits.index_put((torch.arange(len(x))[:, None], torch.tensor([[BAG, T_SHIRT]])), two)


SETTINGS = Bench(
    epsilons=[0.0, 0.1, 0.3],
    tolerance=1e-4,
    slider_stop=0.3,
    slider_steps=3,
    bag_confidence=0.9,
    pgd=PGD(images=2, epsilons=[0.1, 0.3], steps=2, step=0.6, restarts=1),
    epsilon=0.1,
    write_up_epsilon=0.01,
)


def test_an_assessment_finds_the_bag_that_becomes_a_t_shirt(rng: torch.Generator) -> None:
    data = Split(grey(0.28, 0.32, 0.45), torch.tensor([BAG, BAG, BAG]))

    shown = assess(BagOrShirt(), data, CLASSES, torch.full((1, 2, 2), 20.0), SETTINGS, 2, rng)

    assert [row["accuracy"] for row in shown.curve] == pytest.approx([1, 2 / 3, 0])
    assert [row["accuracy"] for row in shown.pgd_curve] == pytest.approx([1, 0])
    metrics = shown.metrics
    assert metrics["clean_accuracy"] == 1
    assert metrics["accuracy_at_0.1"] == pytest.approx(2 / 3)
    assert metrics["pgd_accuracy_at_0.3"] == 0
    assert metrics["median_flipping_epsilon"] == pytest.approx(0.18, abs=1e-4)
    assert metrics["never_flipped_share"] == 0
    assert metrics["bag_index"] in (0, 1)  # both sure enough, and both end just beyond the boundary
    assert metrics["bag_t_shirt_confidence"] == pytest.approx(0.5, abs=0.01)
    assert metrics["write_up_mean_change"] == pytest.approx(0.2)  # a hundredth of columns of length 20
    assert metrics["write_up_accuracy"] == pytest.approx(1 / 3)  # only 0.28 stays below one half
    torch.testing.assert_close(shown.pictures["write_up.adversarial"], shown.pictures["bag.clean"] + 0.2)
    assert shown.pictures["bag.adversarial"].mean().item() == pytest.approx(0.5, abs=2e-4)
    assert shown.pictures["gallery.label"].tolist() == [BAG]
    torch.testing.assert_close(shown.pictures["bag.adversarial_probabilities"].sum(dim=1), torch.ones(1))
    torch.testing.assert_close(shown.images, grey(0.38, 0.42, 0.55))
    # The slider has the first bag, from 0 to 0.3 in three steps.
    torch.testing.assert_close(shown.pictures["slider.clean"], grey(0.28))
    assert [row["series"] for row in shown.probabilities] == ["Bag"] * 4
    assert [row["epsilon"] for row in shown.probabilities] == pytest.approx([0, 0.1, 0.2, 0.3])
    for row in shown.probabilities:
        assert row["true"] == row["Bag"]
        brightness = torch.tensor(0.28 + row["epsilon"])  # type: ignore[operator]
        assert row["T-shirt/top"] == pytest.approx(torch.sigmoid(20 * (brightness - 0.5)).item(), abs=1e-5)
        assert sum(row[name] for name in CLASSES) == pytest.approx(1)  # type: ignore[misc]


def test_an_assessment_without_such_a_bag_says_so(rng: torch.Generator) -> None:
    data = Split(grey(0.01, 0.02), torch.tensor([BAG, BAG]))  # too far from the boundary for any ε tried

    shown = assess(BagOrShirt(), data, CLASSES, torch.full((1, 2, 2), 20.0), SETTINGS, 2, rng)
    metrics, pictures = shown.metrics, shown.pictures

    assert metrics["bag_index"] is None
    assert metrics["bag_epsilon"] is None
    assert metrics["median_flipping_epsilon"] is None
    assert metrics["never_flipped_share"] == 1
    assert len(pictures["bag.label"]) == len(pictures["gallery.label"]) == 0


class Dominant(nn.Module):
    """Says k where pixel k, of 50, is the brightest of the first so many."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return 20 * x.flatten(1)[:, : self.classes]


def lit(shown: list[int]) -> Tensor:
    """Return a dim image of 5 × 10 pixels for each number, in which the pixel of that number is bright."""
    x = torch.full((len(shown), 50), 0.3)
    x[torch.arange(len(shown)), shown] = 0.7
    return x.view(-1, 1, 5, 10)


@pytest.mark.parametrize("classes", [2, 3, 50])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_an_assessment_holds_for_unequal_classes_and_for_some_that_are_never_recognised(
    classes: int, batch_size: int, rng: torch.Generator
) -> None:
    last = classes - 1
    # Thirty of class 0, one single of the last, whose image looks like class 0; the others have two each.
    labels = [0] * 30 + [label for label in range(1, last) for _ in range(2)] + [last]
    data = Split(lit([*labels[:-1], 0]), torch.tensor(labels))
    names = [f"class {label}" for label in range(classes)]
    settings = SETTINGS.model_copy(
        update={
            "epsilons": [0.0, 0.1, 0.3, 0.5],
            "pgd": PGD(images=1000, epsilons=[0.1, 0.3, 0.5], steps=3, step=0.5, restarts=2),
        }
    )

    shown = assess(Dominant(classes), data, names, torch.full((1, 5, 10), 20.0), settings, batch_size, rng)

    recognised = (len(labels) - 1) / len(labels)
    assert shown.metrics["clean_accuracy"] == pytest.approx(recognised)
    # The bright pixel and its rivals are 0.4 apart, and each moves by ε.
    assert [row["accuracy"] for row in shown.curve] == pytest.approx([recognised, recognised, 0, 0])
    assert [row["accuracy"] for row in shown.pgd_curve] == pytest.approx([recognised, 0, 0])
    assert shown.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-3)
    assert shown.metrics["failed_checks"] == "none"
    assert shown.metrics["bag_index"] is None
    # With two or three classes nearly all images are of the first: no accuracy is clearly above its share.
    expected = {
        2: "cross_entropy_not_saturated, large_epsilon_breaks",
        3: "large_epsilon_breaks",
        50: "none",
    }
    assert shown.metrics["checks_not_applicable"] == expected[classes]
    assert len(shown.confusion) == classes**2
    assert sum(int(row["images"]) for row in shown.confusion) == len(labels)
    assert {row["series"] for row in shown.flips} == set(names[:-1])
    assert shown.pictures["gallery.label"].tolist() == list(range(last))
    assert shown.pictures["slider.clean"].shape[0] == classes
    assert [row["series"] for row in shown.probabilities] == [name for name in names for _ in range(4)]


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_an_assessment_holds_where_no_image_is_recognised_and_a_class_has_none(
    classes: int, rng: torch.Generator
) -> None:
    data = Split(lit([0, 0, 0]), torch.tensor([1, 1, 1]))
    names = [f"class {label}" for label in range(classes)]

    shown = assess(Dominant(classes), data, names, torch.full((1, 5, 10), 20.0), SETTINGS, 2, rng)

    assert shown.metrics["clean_accuracy"] == 0
    assert shown.metrics["median_flipping_epsilon"] is None
    assert shown.metrics["never_flipped_share"] == 0
    assert shown.flips == []
    assert len(shown.pictures["gallery.label"]) == 0
    assert shown.metrics["failed_checks"] == "none"
    assert shown.pictures["slider.clean"].shape[0] == 1


def test_an_assessment_holds_for_a_single_image_at_the_limits_of_every_setting(rng: torch.Generator) -> None:
    settings = Bench(
        epsilons=[0.0, 1.0],
        tolerance=1e-9,
        slider_stop=1.0,
        slider_steps=1,
        bag_confidence=0.999,
        pgd=PGD(images=1_000_000, epsilons=[1.0], steps=1, step=1e6, restarts=1),
        epsilon=1.0,
        write_up_epsilon=1e6,
    )
    shown = assess(Dominant(2), Split(lit([1]), torch.tensor([1])), ["a", "b"], torch.ones(1, 5, 10), settings, 9, rng)

    assert [row["accuracy"] for row in shown.curve] == [1, 0]
    assert [row["accuracy"] for row in shown.pgd_curve] == [0]
    assert 0 == shown.pgd_curve[0]["low"] < shown.pgd_curve[0]["high"] < 1
    assert shown.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-6)
    assert [row["epsilon"] for row in shown.probabilities] == [0, 1]
    assert shown.images.min() >= 0
    assert shown.images.max() <= 1
