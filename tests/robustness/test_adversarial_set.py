"""An adversarial test set that breaks a rule is told which."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from descent.io.datasets import Split
from descent.io.errors import DescentError
from descent.io.tensors import save_tensors
from descent.robustness.adversarial_set import broken_rules, load_adversarial_set, save_adversarial_set
from tools.adversarial_set import main

CLEAN = Split(torch.linspace(0, 1, 4 * 9).view(4, 1, 3, 3), torch.tensor([3, 1, 4, 1]))
MOVED = (CLEAN.x + 0.1).clamp(0, 1)


def test_a_set_that_keeps_to_the_rules_passes_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    for images in (MOVED, (CLEAN.x - 0.1).clamp(0, 1)):
        written = set()
        for _ in range(20):
            save_adversarial_set(path, images, CLEAN.y, 0.1)
            written.add(path.read_bytes())
        assert len(written) == 1
        assert broken_rules(path, CLEAN) == []
        read = load_adversarial_set(path)
        assert torch.equal(read.x, images)
        assert torch.equal(read.y, CLEAN.y)


@pytest.mark.parametrize(
    ("images", "labels", "epsilon", "message"),
    [
        (MOVED, CLEAN.y, "0.09", "expected a perturbation of at most 0.09, found 0.1"),
        (CLEAN.x + 0.1, CLEAN.y, "0.1", "expected pixels in [0, 1], found 0.1 to 1.1"),
        (MOVED * torch.nan, CLEAN.y, "0.1", "expected pixels in [0, 1], found nan to nan"),
        (MOVED.double(), CLEAN.y, "0.1", "expected float32 images, found float64"),
        (MOVED[:3], CLEAN.y[:3], "0.1", "expected images of (4, 1, 3, 3), found (3, 1, 3, 3)"),
        (MOVED, CLEAN.y.flip(0), "0.1", "expected the labels of the test set, untouched"),
        (MOVED, CLEAN.y, "much", "expected a number as epsilon in the metadata, found 'much'"),
    ],
)
def test_a_broken_rule_is_named(tmp_path: Path, images: Tensor, labels: Tensor, epsilon: str, message: str) -> None:
    path = tmp_path / "set.safetensors"
    save_tensors(path, {"images": images, "labels": labels.to(torch.uint8)}, {"epsilon": epsilon})
    assert message in broken_rules(path, CLEAN)


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "other.safetensors", {"x": MOVED})
    assert broken_rules(tmp_path / "other.safetensors", CLEAN) == ["expected the tensors images and labels, found x"]


def test_files_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    pixels, labels = (CLEAN.x[:, 0] * 255).round().to(torch.uint8), CLEAN.y.to(torch.uint8)
    images = {f"{part}_images": pixels.clone() for part in ("train", "test")}
    images |= {f"{part}_labels": labels.clone() for part in ("train", "test")}
    save_tensors(Path("data", "images.safetensors"), images, {"classes": "[]"})
    for name, change in (("good", 0.1), ("bad", 0.2)):
        moved = (pixels[:, None].float() / 255 + change).clamp(0, 1)
        save_adversarial_set(Path(f"{name}.safetensors"), moved, CLEAN.y, 0.1)
    main("good.safetensors")
    assert capsys.readouterr().out == "good.safetensors: keeps to every rule\n"
    with pytest.raises(DescentError, match=r"^bad\.safetensors: expected a perturbation of at most 0\.1"):
        main("bad.safetensors")
