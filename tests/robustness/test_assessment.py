"""An assessment counts robustness correctly, on models whose answers are known beforehand."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from descent.attacks.gradient_sign import fgsm
from descent.io.datasets import Dataset, Split
from descent.io.schema import PGD, Bench
from descent.robustness.assessment import assess, confusion_rows, pgd_rows, write_up
from descent.robustness.sweep import directions
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.robustness.known import DATA, DIRECTION, Brightness, Dominant, grey, lit

BAG, T_SHIRT = CLASSES.index("Bag"), CLASSES.index("T-shirt/top")


def with_columns(test: Split, classes: Sequence[str], length: float) -> Dataset:
    """Add one training image, so that the column of each pixel has this length."""
    return Dataset(Split(torch.full_like(test.x[:1], length), test.y[:1]), test, classes)


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


def test_confusion_counts_what_each_class_is_taken_for() -> None:
    rows = confusion_rows(torch.tensor([0, 0, 0, 9]), torch.tensor([0, 6, 6, 9]), CLASSES)
    assert len(rows) == 100
    counted = {(row["actual"], row["predicted"]): row["images"] for row in rows if row["images"]}
    assert counted == {("T-shirt/top", "T-shirt/top"): 1, ("T-shirt/top", "Shirt"): 2, ("Ankle boot", "Ankle boot"): 1}


def test_pgd_is_no_weaker_than_fgsm_on_the_same_images(rng: torch.Generator) -> None:
    settings = PGD(images=3, epsilons=[0.06, 0.25], steps=4, step=0.5, restarts=2)
    rows = pgd_rows(Brightness(), DATA, directions(Brightness(), DATA, 4), settings, 2, rng)
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
    rows = pgd_rows(Brightness(), DATA, directions(Brightness(), DATA, 4), settings, 2, rng)
    # Three are recognised to begin with; 0.06 takes the second, 0.15 the third, 0.25 the first.
    assert attacked == [(0.06, 2), (0.06, 1), (0.15, 2), (0.25, 1)]
    assert [row["accuracy"] for row in rows] == [0.5, 0.25, 0, 0]


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

    found = assess(BagOrShirt(), with_columns(data, CLASSES, 20.0), SETTINGS, 2, rng)

    assert [row["accuracy"] for row in found.curves.fgsm] == pytest.approx([1, 2 / 3, 0])
    assert [row["accuracy"] for row in found.curves.pgd] == pytest.approx([1, 0])
    metrics = found.metrics
    assert metrics["clean_accuracy"] == 1
    assert metrics["accuracy_at_0.1"] == pytest.approx(2 / 3)
    assert metrics["pgd_accuracy_at_0.3"] == 0
    assert metrics["median_flipping_epsilon"] == pytest.approx(0.18, abs=1e-4)
    assert metrics["never_flipped_share"] == 0
    assert metrics["bag_index"] in (0, 1)  # both sure enough, and both end just beyond the boundary
    assert metrics["bag_t_shirt_confidence"] == pytest.approx(0.5, abs=0.01)
    assert metrics["write_up_mean_change"] == pytest.approx(0.2)  # a hundredth of columns of length 20
    assert metrics["write_up_accuracy"] == pytest.approx(1 / 3)  # only 0.28 stays below one half
    torch.testing.assert_close(found.example_images["write_up.adversarial"], found.example_images["bag.clean"] + 0.2)
    assert found.example_images["bag.adversarial"].mean().item() == pytest.approx(0.5, abs=2e-4)
    assert found.example_images["gallery.label"].tolist() == [BAG]
    torch.testing.assert_close(found.example_images["bag.adversarial_probabilities"].sum(dim=1), torch.ones(1))
    torch.testing.assert_close(found.adversarial, grey(0.38, 0.42, 0.55))
    # The slider has the first bag, from 0 to 0.3 in three steps.
    torch.testing.assert_close(found.example_images["slider.clean"], grey(0.28))
    assert [row["series"] for row in found.curves.probabilities] == ["Bag"] * 4
    assert [row["epsilon"] for row in found.curves.probabilities] == pytest.approx([0, 0.1, 0.2, 0.3])
    for row in found.curves.probabilities:
        assert row["true"] == row["Bag"]
        brightness = torch.tensor(0.28 + row["epsilon"])  # type: ignore[operator]
        assert row["T-shirt/top"] == pytest.approx(torch.sigmoid(20 * (brightness - 0.5)).item(), abs=1e-5)
        assert sum(row[name] for name in CLASSES) == pytest.approx(1)  # type: ignore[misc]


def test_an_assessment_without_such_a_bag_says_so(rng: torch.Generator) -> None:
    data = Split(grey(0.01, 0.02), torch.tensor([BAG, BAG]))  # too far from the boundary for any ε tried

    found = assess(BagOrShirt(), with_columns(data, CLASSES, 20.0), SETTINGS, 2, rng)
    metrics, pictures = found.metrics, found.example_images

    assert metrics["bag_index"] is None
    assert metrics["bag_epsilon"] is None
    assert metrics["median_flipping_epsilon"] is None
    assert metrics["never_flipped_share"] == 1
    assert len(pictures["bag.label"]) == len(pictures["gallery.label"]) == 0


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

    found = assess(Dominant(classes), with_columns(data, names, 20.0), settings, batch_size, rng)

    recognised = (len(labels) - 1) / len(labels)
    assert found.metrics["clean_accuracy"] == pytest.approx(recognised)
    # The bright pixel and its rivals are 0.4 apart, and each moves by ε.
    assert [row["accuracy"] for row in found.curves.fgsm] == pytest.approx([recognised, recognised, 0, 0])
    assert [row["accuracy"] for row in found.curves.pgd] == pytest.approx([recognised, 0, 0])
    assert found.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-3)
    assert found.metrics["failed_checks"] == "none"
    assert found.metrics["bag_index"] is None
    # With two or three classes nearly all images are of the first: no accuracy is clearly above its share.
    expected = {
        2: "cross_entropy_not_saturated, large_epsilon_breaks",
        3: "large_epsilon_breaks",
        50: "none",
    }
    assert found.metrics["checks_not_applicable"] == expected[classes]
    assert len(found.confusion) == classes**2
    assert sum(int(row["images"]) for row in found.confusion) == len(labels)
    assert {row["series"] for row in found.curves.flips} == set(names[:-1])
    assert found.example_images["gallery.label"].tolist() == list(range(last))
    assert found.example_images["slider.clean"].shape[0] == classes
    assert [row["series"] for row in found.curves.probabilities] == [name for name in names for _ in range(4)]


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_an_assessment_holds_where_no_image_is_recognised_and_a_class_has_none(
    classes: int, rng: torch.Generator
) -> None:
    data = Split(lit([0, 0, 0]), torch.tensor([1, 1, 1]))
    names = [f"class {label}" for label in range(classes)]

    found = assess(Dominant(classes), with_columns(data, names, 20.0), SETTINGS, 2, rng)

    assert found.metrics["clean_accuracy"] == 0
    assert found.metrics["median_flipping_epsilon"] is None
    assert found.metrics["never_flipped_share"] == 0
    assert found.curves.flips == []
    assert len(found.example_images["gallery.label"]) == 0
    assert found.metrics["failed_checks"] == "none"
    assert found.example_images["slider.clean"].shape[0] == 1


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
    data = with_columns(Split(lit([1]), torch.tensor([1])), ["a", "b"], 1.0)
    found = assess(Dominant(2), data, settings, 9, rng)

    assert [row["accuracy"] for row in found.curves.fgsm] == [1, 0]
    assert [row["accuracy"] for row in found.curves.pgd] == [0]
    assert 0 == found.curves.pgd[0]["low"] < found.curves.pgd[0]["high"] < 1
    assert found.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-6)
    assert [row["epsilon"] for row in found.curves.probabilities] == [0, 1]
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
