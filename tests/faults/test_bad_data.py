"""Damaged data.

A small data set is written as the stages write it, damaged, and read as they read it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from descent.io.errors import DataError
from descent.io.tensors import save_tensors
from descent.sources.published import OTHERS
from descent.sources.raw import read_raw
from tests.faults.conftest import in_its_place
from tests.faults.table import Tell
from tests.imports import ROOT
from tests.sources.test_images import mirror

__all__ = ["mirror"]
IMAGES = "train-images-idx3-ubyte.gz"
MUST = "one line with the file and the remedy"
PAGE = "<!DOCTYPE html><title>Please log in</title>"


def flip(path: Path) -> None:
    """Flip one bit of the last byte."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("no file", Path.unlink, "no such file; .*"),
    ("an empty file", lambda path: path.write_bytes(b""), "expected SHA-256 .*"),
    ("a folder in a file's place", in_its_place(Path.mkdir), "not a file; move it away, .*"),
    ("a pipe in a file's place", in_its_place(os.mkfifo), "not a file; move it away, .*"),
    ("a log-in page", lambda path: path.write_text(PAGE, encoding="utf-8"), "expected SHA-256 .*"),
    ("a file cut short", lambda path: path.write_bytes(path.read_bytes()[:-1]), "expected SHA-256 .*"),
    ("one flipped bit", flip, "expected SHA-256 .*; `dvc repro --force` makes it anew"),
]


@pytest.mark.parametrize(("tried", "damage", "message"), DAMAGES)
def test_damaged_images_that_are_not_published_are_refused(
    tmp_path: Path, tell: Tell, tried: str, damage: Callable[[Path], object], message: str
) -> None:
    digest = save_tensors(tmp_path / OTHERS, {"train_images": torch.arange(9.0)}, {"classes": "[]"})
    damage(tmp_path / OTHERS)
    with pytest.raises(DataError) as error:
        read_raw(tmp_path, {"source": "drawn", "sha256": digest})
    tell(f"{tried}, of drawn garments", MUST, str(error.value))
    assert re.fullmatch(f"{tmp_path / OTHERS}: {message}", str(error.value))


@pytest.mark.parametrize(("tried", "damage"), [each[:2] for each in DAMAGES])
def test_a_damaged_published_file_is_refused(
    mirror: Path, tell: Tell, tried: str, damage: Callable[[Path], object]
) -> None:
    damage(mirror / IMAGES)
    with pytest.raises(DataError) as error:
        read_raw(mirror, {"source": "fashion-mnist"})
    tell(f"{tried}, of a published set", MUST, str(error.value))
    remedy = "not the published file; `dvc repro --force download` fetches it"
    assert str(error.value) == f"{mirror / IMAGES}: {remedy}"


def test_a_damaged_data_set_ends_the_stage_before_it_writes(params_file: Path, tell: Tell) -> None:
    home = params_file.parent
    (home / "data" / "raw").mkdir(parents=True)
    (home / "data" / "raw" / IMAGES).write_text(PAGE, encoding="utf-8")
    (home / "data" / "raw" / "source.json").write_text('{"source": "fashion-mnist"}', encoding="utf-8")
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
    assert re.fullmatch(r"ERROR: data/raw/\S+\.gz: not the published file; .*\n", done.stderr)
    assert sorted(path.name for path in home.rglob("*") if path.is_file() and ".ckpt" not in path.parts) == sorted(
        ["params.yaml", "source.json", "diabetes.safetensors", IMAGES]
    )
    assert (home / "data" / "diabetes.safetensors").read_bytes() == b"of before"
