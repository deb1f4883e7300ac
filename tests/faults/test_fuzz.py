"""Files damaged at random are refused in words, or read as they stand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from dvc.utils.serialize import parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from descent.io.errors import DescentError
from descent.io.params import load_params
from descent.io.schema import Params
from descent.io.tensors import load_tensors
from tests.imports import ROOT

pytestmark = pytest.mark.usefixtures("twenty_seconds")
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
TENSORS = save({"weight": torch.arange(6.0).view(2, 3), "labels": torch.arange(3), "empty": torch.zeros(0)}, {"a": "b"})
TABLE = ["0", "-1", "9" * 30, "F64", "I8", "BOOL", "null", "[]", "{}", '"weight"', "\\ud800", "__metadata__"]
LINES = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
PARAMS = "".join(line for line in LINES if "#" not in line)
SCALARS = (
    """0 -1 1.5 1e999 .nan 0x_ 0b1 1:30:00 1_000 ~ null true yes 2001-13-45 "\\ud800" "\\x1b[2J" "\\0" " ' ../x a;b é"""
)
SYNTAX = (
    "!!binary !!int !!set {} [] [[[[ {a: & *a &a <<: =: ? : - | > |9 --- ... %YAML @ ` \t \x85 \u2028 \ufeff \r \0 #"
)
VALUES = [*SCALARS.split(" "), *SYNTAX.split(" ")]


def damaged(whole: bytes, pieces: list[str]) -> st.SearchStrategy[bytes]:
    """Return a strategy of the file with other bytes in one to four places."""
    piece = st.sampled_from(pieces).map(str.encode) | st.binary(max_size=8)
    change = st.tuples(st.integers(0, len(whole)), st.integers(0, 8), piece)

    def changed(changes: list[tuple[int, int, bytes]]) -> bytes:
        content = bytearray(whole)
        for start, length, inserted in changes:
            content[start : start + length] = inserted
        return bytes(content)

    return st.lists(change, min_size=1, max_size=4).map(changed)


def read_or_refused(path: Path, content: bytes, read: Callable[[Path], None]) -> None:
    """Read a file; what is read is right, or refused in lines that name the file and command no terminal."""
    path.write_bytes(content)
    try:
        read(path)
    except DescentError as error:
        lines = str(error).split("\n")
        assert all(line.startswith(f"{path}:") and line.isprintable() and len(line) < 1000 for line in lines)


@fuzz
@given(damaged(TENSORS, TABLE))
def test_damaged_tensors_are_refused_or_read_as_they_stand(tmp_path: Path, content: bytes) -> None:
    def read(path: Path) -> None:
        tensors, metadata = load_tensors(path)
        start = 8 + int.from_bytes(content[:8], "little")
        table = json.loads(content[8:start])
        assert metadata == (table.pop("__metadata__", None) or {})
        assert tensors.keys() == table.keys()
        for name, tensor in tensors.items():
            begin, end = table[name]["data_offsets"]
            assert tensor.flatten().view(torch.uint8).numpy().tobytes() == content[start + begin : start + end]

    read_or_refused(tmp_path / "file", content, read)


@settings(fuzz, max_examples=30)
@given(damaged(PARAMS.encode(), VALUES))
def test_damaged_parameters_are_refused_or_read_as_dvc_reads_them(tmp_path: Path, content: bytes) -> None:
    def read(path: Path) -> None:
        params = load_params(path)
        assert Params.model_validate(parse_yaml(content.decode(), path)) == params

    read_or_refused(tmp_path / "file", content, read)
