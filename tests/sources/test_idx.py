"""IDX files are written as published ones are, and read only when they are whole."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from descent.io.errors import DataError
from descent.io.files import sha256
from descent.io.schema import Params, PublishedImages
from descent.sources.digests import digests, verify_raw
from descent.sources.idx import read_idx, write_idx
from descent.sources.published import FILES, PUBLISHED
from descent.sources.raw import read_raw, write_raw
from descent.sources.vision import torchvision


@pytest.mark.parametrize("shape", [(7,), (3, 4), (5, 28, 28)])
def test_an_array_comes_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = torch.randint(256, shape, dtype=torch.uint8)
    write_idx(tmp_path / "a.gz", array)
    torch.testing.assert_close(read_idx(tmp_path / "a.gz", *shape), array)


def test_the_same_array_gives_the_same_file(tmp_path: Path) -> None:
    array = torch.arange(10, dtype=torch.uint8)
    write_idx(tmp_path / "a.gz", array)
    write_idx(tmp_path / "b.gz", array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)  # gzip's place for the time


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Change the content of a gzip file."""
    return lambda path: path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "not a whole"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "not a whole gzip file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)), "not a whole gzip file"),
        (lambda path: path.write_bytes(b"<html>please log in</html>"), "not a whole gzip file"),
        (rewritten(lambda content: content[:-1]), "not a whole IDX file"),
        (rewritten(lambda content: content + b"x"), "not a whole IDX file"),
        (rewritten(lambda content: b"\0\0\7" + content[3:]), "not a whole IDX file"),
        (rewritten(lambda content: b"\0\0\x08\x04" + content[4:]), "not a whole IDX file"),
        (rewritten(lambda content: b""), "not a whole IDX file"),
        (rewritten(lambda content: content[:9]), "not a whole IDX file"),
        (rewritten(lambda content: b"\0\0\x09" + content[3:]), "expected any×28×28 unsigned bytes, found 4×28×28"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "images.gz"
    write_idx(path, torch.randint(256, (4, 28, 28), dtype=torch.uint8))
    damage(path)
    with pytest.raises(DataError, match=message):
        read_idx(path, None, 28, 28)


def test_images_in_the_place_of_labels_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", torch.zeros(4, 28, 28, dtype=torch.uint8))
    with pytest.raises(DataError, match="expected any unsigned bytes, found 4×28×28"):
        read_idx(tmp_path / "a.gz", None)


def raw(train: int = 6, test: int = 4) -> dict[str, torch.Tensor]:
    """Make a small data set."""
    return {
        "train_images": torch.randint(256, (train, 28, 28), dtype=torch.uint8),
        "train_labels": torch.randint(10, (train,), dtype=torch.uint8),
        "test_images": torch.randint(256, (test, 28, 28), dtype=torch.uint8),
        "test_labels": torch.randint(10, (test,), dtype=torch.uint8),
    }


def test_the_four_files_come_back_and_torchvisions_own_reader_agrees(tmp_path: Path) -> None:
    tensors = raw()
    folder = tmp_path / "FashionMNIST" / "raw"
    write_raw(folder, tensors)

    read = read_raw(folder, 10)

    for part, tensor in tensors.items():
        torch.testing.assert_close(read[part], tensor)
    for name in FILES.values():  # torchvision unpacks beside the archive
        (folder / name).with_suffix("").write_bytes(gzip.decompress((folder / name).read_bytes()))
    for part in ("train", "test"):
        theirs = torchvision.datasets.FashionMNIST(tmp_path, train=part == "train")
        torch.testing.assert_close(theirs.data, tensors[f"{part}_images"])
        torch.testing.assert_close(theirs.targets, tensors[f"{part}_labels"].long())


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("fashion-mnist", torchvision.datasets.FashionMNIST),
        ("mnist", torchvision.datasets.MNIST),
        ("kmnist", torchvision.datasets.KMNIST),
    ],
)
def test_names_and_classes_are_torchvisions(name: str, theirs: Any, params: Params) -> None:  # noqa: ANN401 - a class
    assert sorted(FILES.values()) == sorted(file for file, _ in theirs.resources)
    # torchvision calls the digits "0 - zero" and so on
    assert list(PUBLISHED[name].classes) == [words.partition(" - ")[0] for words in theirs.classes]
    assert PUBLISHED[name].sha256.keys() == FILES.keys()
    assert all(len(digest) == 64 for digest in PUBLISHED[name].sha256.values())
    assert set(params.data.mirrors) == set(PUBLISHED) == {*get_args(PublishedImages)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": torch.zeros(5, dtype=torch.uint8)}, "6 train images, but 5 labels"),
        ({"test_labels": torch.full((4,), 10, dtype=torch.uint8)}, "t10k-labels-idx1-ubyte.gz: label 10"),
        (raw(test=0), "t10k-images-idx3-ubyte.gz: not a whole IDX file"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, torch.Tensor], message: str
) -> None:
    write_raw(tmp_path, raw() | changes)
    with pytest.raises(DataError, match=message):
        read_raw(tmp_path, 10)


def test_files_said_to_be_real_must_have_the_published_hashes_and_drawn_ones_those_recorded(tmp_path: Path) -> None:
    write_raw(tmp_path, raw())
    recorded = digests(tmp_path)
    hashes = {part: sha256(tmp_path / name) for part, name in FILES.items()}
    published = {"fashion-mnist": PUBLISHED["fashion-mnist"]._replace(sha256=hashes)}
    assert recorded == {f"sha256_{part}": digest for part, digest in hashes.items()}

    for source in ("fashion-mnist", "drawn"):
        assert verify_raw(tmp_path, recorded | {"source": source}, published) == recorded
    hashes["test_images"] = "0" * 64
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz: expected SHA-256 0000"):
        verify_raw(tmp_path, recorded | {"source": "fashion-mnist"}, published)
    recorded["sha256_train_labels"] = "1" * 64
    with pytest.raises(DataError, match="train-labels-idx1-ubyte.gz: expected SHA-256 1111"):
        verify_raw(tmp_path, recorded | {"source": "drawn"}, published)
    (tmp_path / FILES["train_labels"]).unlink()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte.gz: no such file"):
        digests(tmp_path)
