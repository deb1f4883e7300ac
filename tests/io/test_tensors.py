"""Tensors come back as they were written, from files that depend on nothing else."""

from pathlib import Path

import pytest
import torch

from descent.io.errors import DataError
from descent.io.files import sha256
from descent.io.tensors import load_tensors, save_tensors


def test_tensors_and_metadata_come_back_in_bytes_that_do_not_depend_on_the_order_of_names(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6, dtype=torch.uint8).view(2, 3).T, "b": torch.rand(3, dtype=torch.float64)}
    save_tensors(tmp_path / "ab", tensors, {"source": "here"})
    save_tensors(tmp_path / "ba", {"b": tensors["b"], "a": tensors["a"]}, {"source": "here"})
    loaded, metadata = load_tensors(tmp_path / "ab")
    assert metadata == {"source": "here"}
    torch.testing.assert_close(loaded, tensors, rtol=0, atol=0)
    assert (tmp_path / "ab").read_bytes() == (tmp_path / "ba").read_bytes()


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    save_tensors(tmp_path / "t", {"a": torch.rand(9)})
    (tmp_path / "t").write_bytes((tmp_path / "t").read_bytes()[:kept])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load_tensors(tmp_path / "t")


def test_a_missing_file_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such file; `dvc repro` makes it"):
        load_tensors(tmp_path / "none")
    with pytest.raises(DataError, match="not a file; move it away"):
        load_tensors(tmp_path)


def test_only_the_file_with_the_given_digest_is_read(tmp_path: Path) -> None:
    digest = save_tensors(tmp_path / "t", {"a": torch.rand(9)})
    assert digest == sha256(tmp_path / "t")
    load_tensors(tmp_path / "t", digest)
    save_tensors(tmp_path / "t", {"a": torch.rand(9)})
    with pytest.raises(DataError, match=rf"t: expected SHA-256 {digest}, found [0-9a-f]{{64}}; `dvc repro --force`"):
        load_tensors(tmp_path / "t", digest)


def test_metadata_whose_order_would_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one word of metadata, not 2"):
        save_tensors(tmp_path / "t", {"a": torch.rand(9)}, {"b": "1", "c": "2"})
    assert not list(tmp_path.iterdir())
