"""Data arrives split, standardised and in the units that the models expect."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_diabetes

from descent.io.datasets import load_dataset
from descent.io.errors import DataError
from descent.io.tensors import save_tensors
from descent.sources.diabetes import diabetes


def test_diabetes_is_standardised_on_the_training_set_and_holds_every_patient_once(rng: torch.Generator) -> None:
    split, other = diabetes(0.2, rng), diabetes(0.2, rng)
    torch.testing.assert_close(split, diabetes(0.2, torch.Generator().manual_seed(0)))
    assert not torch.equal(split["test_y"], other["test_y"])
    assert [split[name].shape for name in ("train_x", "test_x")] == [(354, 10), (88, 10)]
    torch.testing.assert_close(split["train_x"].mean(dim=0), torch.zeros(10, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(split["train_x"].std(dim=0, correction=0), torch.ones(10, dtype=torch.float64))
    assert split["test_x"].mean(dim=0).abs().max() > 0.01
    targets = torch.cat([split["train_y"], split["test_y"]]).flatten()
    _, published = load_diabetes(return_X_y=True)
    torch.testing.assert_close(targets.sort().values, torch.from_numpy(published).sort().values)


def test_images_become_pixels_between_0_and_1(tmp_path: Path) -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat_interleave(784).view(3, 28, 28)
    labels, classes = torch.tensor([3, 0, 9], dtype=torch.uint8), '["cat", "dog", "fox", "hen"]'
    train = {"train_images": images, "train_labels": labels}
    test = {"test_images": images.clone(), "test_labels": labels.clone()}
    save_tensors(tmp_path / "d", train | test, {"classes": classes})

    data = load_dataset(tmp_path / "d").to(torch.device("cpu"))

    assert (data.train.x.shape, data.train.x.dtype, data.test.y.dtype) == ((3, 1, 28, 28), torch.float32, torch.int64)
    torch.testing.assert_close(data.train.x[:, 0, 0, 0], torch.tensor([0, 0.2, 1]))
    assert data.train.y.tolist() == [3, 0, 9]
    assert (data.classes[3], data.outputs) == ("hen", 4)


def test_a_file_without_a_tensor_is_refused(tmp_path: Path, rng: torch.Generator) -> None:
    tensors = dict(diabetes(0.2, rng))
    save_tensors(tmp_path / "d", tensors)
    assert load_dataset(tmp_path / "d").outputs == 1
    del tensors["test_y"]
    save_tensors(tmp_path / "d", tensors)
    with pytest.raises(DataError, match="holds no 'test_y'"):
        load_dataset(tmp_path / "d")
