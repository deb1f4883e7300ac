"""An assessment counts robustness correctly, on models whose answers are known beforehand."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from descent.io.datasets import Dataset, Split
from descent.io.schema import PGD, Bench
from descent.robustness.assessment import Assessment, assess, confusion_rows, write_up
from descent.sources.published import FASHION_CLASSES as CLASSES
from tests.robustness.known import DATA, DIRECTION, Brightness, dominant, grey, lit

BAG, T_SHIRT = CLASSES.index("Bag"), CLASSES.index("T-shirt/top")


def assessed(
    model: nn.Module,
    images: Tensor,
    labels: list[int],
    classes: Sequence[str],
    settings: Bench,
    batch_size: int = 2,
) -> Assessment:
    """Assess with one training image, so that the column of each pixel has the length 20."""
    train = Split(torch.full_like(images[:1], 20.0), torch.tensor(labels[:1]))
    data = Dataset(train, Split(images, torch.tensor(labels)), classes)
    made = model if isinstance(model, nn.Sequential) else nn.Sequential(model)
    return assess(made, data, settings, batch_size, torch.Generator().manual_seed(0))


def test_the_write_up_moves_by_columns_and_clips_nothing() -> None:
    # Pixels whose columns have lengths 0, 10, 50 and 100: a hundredth of that is added, beyond white too.
    lengths = torch.tensor([[[0.0, 10.0], [50.0, 100.0]]])
    row, pictures = write_up(Brightness(), DATA, DIRECTION * lengths, 0.01, torch.tensor([3]), 3)
    # Below black fall 0.60 − 1 and 0.90 − 1, beyond white rise 0.30 + 1 and 0.45 + 1. The means are 0.70, 0.85, 0.20
    # and 0.50: all but the last are wrong.
    expected = {"write_up_mean_change": 0.4, "write_up_share_out_of_range": 4 / 16, "write_up_accuracy": 0.25}
    assert row == pytest.approx(expected)
    torch.testing.assert_close(pictures["direction"], -0.01 * lengths[None])
    torch.testing.assert_close(pictures["adversarial"], 0.9 - 0.01 * lengths[None])


def test_confusion_counts_what_each_class_is_taken_for() -> None:
    rows = confusion_rows(torch.tensor([0, 0, 0, 9]), torch.tensor([0, 6, 6, 9]), CLASSES)
    assert len(rows) == 100
    counted = {(row["actual"], row["predicted"]): row["images"] for row in rows if row["images"]}
    assert counted == {("T-shirt/top", "T-shirt/top"): 1, ("T-shirt/top", "Shirt"): 2, ("Ankle boot", "Ankle boot"): 1}


class BagOrShirt(nn.Module):
    """Ten logits, of which only those of bag and T-shirt ever win."""

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full((len(x), 10), -20.0)
        two = Brightness()(x)
        return logits.index_put((torch.arange(len(x))[:, None], torch.tensor([[BAG, T_SHIRT]])), two)


FEW = PGD(images=2, epsilons=[0.1, 0.3], steps=2, step=0.6, restarts=1)
SLIDER: dict[str, Any] = {
    "slider_stop": 0.3,
    "slider_steps": 3,
    "bag_confidence": 0.9,
    "tolerance": 1e-4,
    "small_epsilons": [0.05],
}
SETTINGS = Bench(epsilons=[0.0, 0.1, 0.3], pgd=FEW, epsilon=0.1, write_up_epsilon=0.01, **SLIDER)


def test_an_assessment_finds_the_bag_that_becomes_a_t_shirt() -> None:
    found = assessed(BagOrShirt(), grey(0.28, 0.32, 0.45), [BAG] * 3, CLASSES, SETTINGS)
    metrics, images, slider = found.metrics, found.example_images, found.curves.probabilities
    assert [row["accuracy"] for row in found.curves.fgsm] == pytest.approx([1, 2 / 3, 0])
    assert [row["accuracy"] for row in found.curves.pgd] == pytest.approx([1, 0])
    known = {"clean_accuracy": 1.0, "accuracy_at_0.1": 2 / 3, "pgd_accuracy_at_0.3": 0.0, "never_flipped_share": 0.0}
    known |= {"median_flipping_epsilon": 0.18, "bag_t_shirt_confidence": 0.5}
    known |= {"write_up_mean_change": 0.2, "write_up_accuracy": 1 / 3}  # columns of length 20; only 0.28 stays below
    assert {name: metrics[name] for name in known} == pytest.approx(known, abs=0.01)
    assert metrics["bag_index"] in (0, 1)  # both sure enough, and both end just beyond the boundary
    torch.testing.assert_close(images["write_up.adversarial"], images["bag.clean"] + 0.2)
    assert images["bag.adversarial"].mean().item() == pytest.approx(0.5, abs=2e-4)
    assert images["gallery.label"].tolist() == [BAG]
    torch.testing.assert_close(images["bag.adversarial_probabilities"].sum(dim=1), torch.ones(1))
    torch.testing.assert_close(found.adversarial, grey(0.38, 0.42, 0.55))
    # The slider has the first bag, from 0 to 0.3 in three steps.
    torch.testing.assert_close(images["slider.clean"], grey(0.28))
    assert [row["epsilon"] for row in slider] == pytest.approx([0, 0.1, 0.2, 0.3])
    for row in slider:
        assert (row["series"], row["true"]) == ("Bag", row["Bag"])
        brightness = torch.tensor(0.28 + row["epsilon"])  # type: ignore[operator]
        assert row["T-shirt/top"] == pytest.approx(torch.sigmoid(20 * (brightness - 0.5)).item(), abs=1e-5)
        assert sum(row[name] for name in CLASSES) == pytest.approx(1)  # type: ignore[misc]


def test_an_assessment_without_such_a_bag_says_so() -> None:
    found = assessed(BagOrShirt(), grey(0.01, 0.02), [BAG] * 2, CLASSES, SETTINGS)  # too far from the boundary
    assert {value for name, value in found.metrics.items() if name.startswith("bag_")} == {None}
    assert (found.metrics["median_flipping_epsilon"], found.metrics["never_flipped_share"]) == (None, 1)
    assert len(found.example_images["bag.label"]) == len(found.example_images["gallery.label"]) == 0


@pytest.mark.parametrize(
    ("classes", "batch_size", "not_applicable"),
    [
        # With two or three classes nearly all images are of the first: no accuracy is clearly above its share.
        (2, 1, "cross_entropy_not_saturated, large_epsilon_breaks"),
        (3, 7, "large_epsilon_breaks"),
        (50, 1000, "none"),
    ],
)
def test_an_assessment_holds_for_unequal_classes(classes: int, batch_size: int, not_applicable: str) -> None:
    # Thirty of class 0, one single of the last, whose image looks like class 0; the others have two each.
    labels = [0] * 30 + [label for label in range(1, classes - 1) for _ in range(2)] + [classes - 1]
    names = [f"class {label}" for label in range(classes)]
    attack = PGD(images=1000, epsilons=[0.1, 0.3, 0.5], steps=3, step=0.5, restarts=2)
    settings = SETTINGS.model_copy(update={"epsilons": [0.0, 0.1, 0.3, 0.5], "pgd": attack})
    found = assessed(dominant(classes), lit([*labels[:-1], 0]), labels, names, settings, batch_size)
    recognised = (len(labels) - 1) / len(labels)
    # The bright pixel and its rivals are 0.4 apart, and each moves by ε.
    assert [row["accuracy"] for row in found.curves.fgsm] == pytest.approx([recognised, recognised, 0, 0])
    assert [row["accuracy"] for row in found.curves.pgd] == pytest.approx([recognised, 0, 0])
    # As far as this flips images, it is proven that nothing flips them.
    expected = {0.0: recognised, 0.05: recognised, 0.1: recognised, 0.3: 0, 0.5: 0}
    certified = {row["epsilon"]: (row["accuracy"], row["attacked_accuracy"]) for row in found.curves.certified}
    assert certified == {epsilon: pytest.approx((share, share)) for epsilon, share in expected.items()}
    assert {name: found.metrics[f"certified_accuracy_at_{name:g}"] for name in expected} == pytest.approx(expected)
    assert found.metrics["half_certified_epsilon"] == pytest.approx(0.2, rel=0.05)
    assert found.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-3)
    assert (found.metrics["failed_checks"], found.metrics["bag_index"]) == ("none", None)
    assert found.metrics["checks_not_applicable"] == not_applicable
    assert (len(found.confusion), sum(int(row["images"]) for row in found.confusion)) == (classes**2, len(labels))
    assert {row["series"] for row in found.curves.flips} == set(names[:-1])
    assert found.example_images["gallery.label"].tolist() == list(range(classes - 1))
    assert found.example_images["slider.clean"].shape[0] == classes
    assert [row["series"] for row in found.curves.probabilities] == [name for name in names for _ in range(4)]


@pytest.mark.parametrize("classes", [2, 50])
def test_an_assessment_holds_where_no_image_is_recognised_and_a_class_has_none(classes: int) -> None:
    names = [f"class {label}" for label in range(classes)]
    found = assessed(dominant(classes), lit([0, 0, 0]), [1, 1, 1], names, SETTINGS)
    assert found.metrics["clean_accuracy"] == found.metrics["never_flipped_share"] == 0
    assert found.metrics["median_flipping_epsilon"] is None
    assert len(found.curves.flips) == len(found.example_images["gallery.label"]) == 0
    assert found.metrics["failed_checks"] == "none"
    assert found.example_images["slider.clean"].shape[0] == 1


def test_an_assessment_holds_for_a_single_image_at_the_limits_of_every_setting() -> None:
    limits: dict[str, Any] = {"epsilons": [0.0, 1.0], "epsilon": 1.0, "write_up_epsilon": 1e6, "tolerance": 1e-9}
    limits |= {"slider_stop": 1.0, "slider_steps": 1, "bag_confidence": 0.999, "small_epsilons": []}
    limits |= {"pgd": PGD(images=1_000_000, epsilons=[1.0], steps=1, step=1e6, restarts=1)}
    found = assessed(dominant(2), lit([1]), [1], ["a", "b"], Bench(**limits), 9)
    assert [row["accuracy"] for row in found.curves.fgsm] == [1, 0]
    assert [row["accuracy"] for row in found.curves.pgd] == [0]
    assert 0 == found.curves.pgd[0]["low"] < found.curves.pgd[0]["high"] < 1
    assert found.metrics["median_flipping_epsilon"] == pytest.approx(0.2, abs=1e-6)
    assert [row["epsilon"] for row in found.curves.probabilities] == [0, 1]
    assert 0 <= found.adversarial.min() <= found.adversarial.max() <= 1
