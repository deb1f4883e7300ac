"""Damaged data.

A small data set is written as the stages write it, damaged, and read as they read it.
"""

import gzip
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from descent.io.errors import DataError
from descent.io.schema import Drawn
from descent.io.tensors import load_tensors, save_tensors
from descent.sources.idx import MOST_BYTES, read_idx, write_idx
from descent.sources.published import FILES
from descent.sources.raw import read_raw, write_raw
from tests.faults.conftest import in_its_place
from tests.faults.table import Tell
from tests.imports import ROOT

Damage = Callable[[Path], object]
IMAGES, LABELS = FILES["train_images"], FILES["train_labels"]
PAGE = "<!DOCTYPE html><title>Please log in</title>"
REMEDY = "one line with the file and the remedy"
COMPARED = "one line with what was expected and what was found"


def content(change: Callable[[bytes], bytes]) -> Damage:
    """Change what is within the gzip file."""
    return lambda path: path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes())), 0, mtime=0))


def flipped(path: Path) -> None:
    """Flip one bit of a pixel, stored without being squeezed."""
    content(lambda whole: whole)(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def bomb(path: Path) -> None:
    """Write a megabyte that inflates to a gigabyte."""
    path.write_bytes(gzip.compress(bytes(2**23), mtime=0) * 128)
    assert path.stat().st_size < 2**21


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six and four images with their labels."""
    tensors = {}
    for part, n in (("train", 6), ("test", 4)):
        tensors[f"{part}_images"] = torch.arange(n * 784).to(torch.uint8).view(n, 28, 28)
        tensors[f"{part}_labels"] = torch.arange(n, dtype=torch.uint8)
    write_raw(tmp_path / "raw", tensors)
    return tmp_path / "raw"


@pytest.mark.parametrize(
    ("tried", "name", "damage", "must", "message"),
    [
        ("no file", IMAGES, Path.unlink, REMEDY, "no such file; `dvc repro download` fetches it"),
        ("an empty file", IMAGES, lambda path: path.write_bytes(b""), REMEDY, "not a whole IDX file; .*"),
        ("a folder in a file's place", IMAGES, in_its_place(Path.mkdir), REMEDY, "not a file; move it away, .*"),
        ("a pipe in a file's place", IMAGES, in_its_place(os.mkfifo), REMEDY, "not a file; move it away, .*"),
        (
            "a log-in page in a file's place",
            IMAGES,
            lambda path: path.write_text(PAGE, encoding="utf-8"),
            REMEDY,
            "not a whole gzip file .*; `dvc repro -f download` renews it",
        ),
        (
            "a download that broke off",
            IMAGES,
            lambda path: path.write_bytes(path.read_bytes()[:-100]),
            REMEDY,
            "not a whole gzip file .*; `dvc repro -f download` renews it",
        ),
        ("one flipped bit", IMAGES, flipped, REMEDY, "not a whole gzip file .CRC check failed .*"),
        (
            "bytes after the end",
            IMAGES,
            lambda path: path.write_bytes(path.read_bytes() + b"more"),
            REMEDY,
            "not a whole gzip file .*",
        ),
        (
            "a megabyte that inflates to a gigabyte",
            IMAGES,
            bomb,
            "no more than 64 MiB of it is read",
            "inflates to more than 67,108,864 bytes; .*",
        ),
        (
            "a header that promises more images than there are",
            IMAGES,
            content(lambda whole: whole[:4] + (2**32 - 1).to_bytes(4, "big") + whole[8:]),
            REMEDY,
            "not a whole IDX file; .*",
        ),
        (
            "a header that promises fewer images than there are",
            IMAGES,
            content(lambda whole: whole[:4] + (5).to_bytes(4, "big") + whole[8:]),
            REMEDY,
            "not a whole IDX file; .*",
        ),
        (
            "a header of another type of number",
            IMAGES,
            content(lambda whole: b"\0\0\x09" + whole[3:]),
            COMPARED,
            "expected any×any×any unsigned bytes, found 6×28×28 of torch.int8",
        ),
        (
            "test images of another size",
            FILES["test_images"],
            lambda path: write_idx(path, torch.zeros(4, 32, 32, dtype=torch.uint8)),
            COMPARED,
            "expected any×28×28 unsigned bytes, found 4×32×32 of torch.uint8",
        ),
        (
            "images in the labels' place",
            LABELS,
            lambda path: path.write_bytes((path.parent / IMAGES).read_bytes()),
            COMPARED,
            "expected any unsigned bytes, found 6×28×28 of torch.uint8",
        ),
        (
            "the label 10",
            LABELS,
            lambda path: write_idx(path, torch.full((6,), 10, dtype=torch.uint8)),
            "one line with the label",
            "label 10; the classes are 0 to 9",
        ),
        (
            "fewer labels than images",
            LABELS,
            lambda path: write_idx(path, torch.zeros(5, dtype=torch.uint8)),
            "one line with both numbers",
            "6 train images, but 5 labels",
        ),
    ],
)
def test_a_damaged_data_set_is_refused(
    folder: Path, tell: Tell, tried: str, name: str, damage: Damage, must: str, message: str
) -> None:
    damage(folder / name)

    tracemalloc.start()
    with pytest.raises(DataError) as error:
        read_raw(folder, 10)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tell(tried, must, str(error.value))

    assert re.fullmatch(rf"{folder}(/{name})?: {message}", str(error.value))
    assert most < 1.5 * MOST_BYTES


def test_a_file_may_inflate_to_the_limit_and_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = torch.arange(100, dtype=torch.uint8)
    write_idx(tmp_path / "a.gz", array)

    monkeypatch.setattr("descent.sources.idx.MOST_BYTES", 108)  # with the header
    torch.testing.assert_close(read_idx(tmp_path / "a.gz", 100), array)
    monkeypatch.setattr("descent.sources.idx.MOST_BYTES", 107)
    with pytest.raises(DataError, match="inflates to more than 107 bytes"):
        read_idx(tmp_path / "a.gz", 100)


def test_the_limit_has_room_for_all_that_parameters_can_ask_for() -> None:
    most = next(bound.le for bound in Drawn.model_fields["train"].metadata if hasattr(bound, "le"))
    assert 16 + most * 28 * 28 <= MOST_BYTES


def test_sizes_whose_product_wraps_round_to_the_right_number_are_refused(tmp_path: Path, tell: Tell) -> None:
    sizes = (968_973_220, 49_477, 384_773)
    assert sizes[0] * sizes[1] * sizes[2] == 2**64 + 4
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(4), mtime=0))

    with pytest.raises(DataError) as error:
        read_idx(tmp_path / "a.gz", None, None, None)
    tell("a header whose sizes multiply to 2⁶⁴ + 4, with 4 bytes", REMEDY, str(error.value))

    assert str(error.value).endswith("not a whole IDX file; `dvc repro -f download` renews it")


@pytest.mark.parametrize(
    ("tried", "damage", "message"),
    [
        ("tensors cut short", lambda path: path.write_bytes(path.read_bytes()[:-1]), "expected SHA-256 .*"),
        ("one flipped bit in a tensor", lambda path: flip(path, -1), "expected SHA-256 .*; `dvc repro --force` .*"),
        ("a folder in the tensors' place", in_its_place(Path.mkdir), "not a file; move it away, .*"),
    ],
)
def test_damaged_tensors_are_refused(tmp_path: Path, tell: Tell, tried: str, damage: Damage, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    digest = save_tensors(path, {"weight": torch.arange(9.0)})
    damage(path)

    with pytest.raises(DataError) as error:
        load_tensors(path, digest)
    tell(tried, REMEDY, str(error.value))

    assert re.fullmatch(f"{path}: {message}", str(error.value))


def flip(path: Path, index: int) -> None:
    """Flip one bit of one byte."""
    damaged = bytearray(path.read_bytes())
    damaged[index] ^= 1
    path.write_bytes(damaged)


def test_a_damaged_data_set_ends_the_stage_before_it_writes(folder: Path, params_file: Path, tell: Tell) -> None:
    home = params_file.parent
    (home / "data").mkdir()
    folder.rename(home / "data" / "raw")
    path = home / "data" / "raw" / IMAGES
    path.write_text(PAGE, encoding="utf-8")
    (home / "data" / "raw" / "source.json").write_text('{"source": "fashion-mnist", "classes": []}', encoding="utf-8")
    (home / "data" / "diabetes.safetensors").write_bytes(b"of before")

    done = subprocess.run(
        [sys.executable, "-m", "stages.prepare"],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    tell("`python -m stages.prepare` on a log-in page in a file's place", "nothing is written", done.stderr)

    assert done.returncode == 1
    assert re.fullmatch(rf"ERROR: data/raw/{IMAGES}: expected SHA-256 \w+, found \w+; .*\n", done.stderr)
    assert sorted(path.name for path in home.rglob("*") if path.is_file() and ".ckpt" not in path.parts) == sorted(
        ["params.yaml", "source.json", "diabetes.safetensors", *FILES.values()]
    )
    assert (home / "data" / "diabetes.safetensors").read_bytes() == b"of before"
