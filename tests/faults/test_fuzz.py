"""Fuzzing.

Whole files are damaged at random, the same way each time, and read: each is refused in words, or read as it stands.
"""

import gzip
import json
import re
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random

import pytest
import torch
from ruamel.yaml import YAML

from descent.io.errors import DataError, DescentError, ParamsError
from descent.io.params import load_params
from descent.io.schema import Params
from descent.io.tensors import load_tensors, save_tensors
from descent.sources.idx import read_idx, write_idx
from tests.faults.table import Tell
from tests.imports import ROOT

SEED = 0
# Of the processor, for one file. The slowest takes 0.3, and five times as long where its innermost call lies at the end
# of one of the 16 kB pieces in which CPython 3.11 keeps its frames: each call then maps a piece and unmaps it.
SECONDS = 10
MUST = "refused in one line, or read as it stands, within ten seconds"
MANY = pytest.mark.slow

# fmt: off
EXTREMES = [
    0, 1, 2**7 - 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1,
]
NUMBERS = ["0", "-1", "1.5", "1e3", "null", "true", '"1"', "[]", "{}", "9" * 40, *map(str, EXTREMES)]
DTYPES = [
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16", "U16", "F16", "BF16",
    "I32", "U32", "F32", "C64", "F64", "I64", "U64", "X",
]
NAMES = ["", "__metadata__", "a", "weight", "\\u0000", "\\ud800", "\\n", "\\u001b[2J", "x" * 5000, "../../etc/passwd"]
VALUES = [
    # numbers, dates and what only begins like one
    ".nan", ".inf", "-.inf", "1e999", "-1e-999", "1e-3", "-1", "0", "-0.0", "2", "1.5", "1_000", "-_", "0x_", "0b1",
    "0o7", "007", "1:30:00", "~", "null", "true", "yes", "on", "9" * 300, "9" * 5000, "0x" + "f" * 900, "a" * 2000,
    "2001-13-45", "9999-12-31 23:59:59.9999999", "2001-01-01",
    # words
    "none", "linear", "mlp", "convnet", "diabetes", "images", "folder", "a; touch pwned", "../x", "a.b", "é", "\u202e",
    '"\\ud800"', '"\\UFFFFFFFF"', '"\\U00110000"', '"\\x1b[2J"', '"\\0"', '"\\', "'", '"', "'0.1'", "''", "`", "@", "%",
    # what else YAML has
    "!!binary =", "!!int x", "!!set {a}", "!!omap [a]", "!!timestamp x", "!!python/object:os.system x", "!", "!<", "!%",
    "&a 1", "*a", "&a [*a]", "<<", "<<: 1", "=", "=: 1", "? ", "? [a, [b]] : c", "? {a: b}", ": ", "- ", "- - - -", "#",
    "[", "]", "{", "}", "[]", "{}", "[1, 2]", "{a: 1}", "[[[[[[[[[[[[[[[[[[[[1", "{a: {a: {a", "[" * 3000, "{" * 3000,
    "|", ">", "|9", "|+0", ">-\n  a", "\t", "\0", "\x85", "\u2028", "\ufeff", "\ufffe", "\r", "\r\n", "\x7f", "\\",
    "---", "...", "%YAML 1.1", "%YAML 9" + "9" * 5000, "%TAG ! x", "--- a", "--- !", "... x", "---\n---",
    "%YAML 1.1\n---",
]
# fmt: on


class TookTooLong(BaseException):
    """Nothing catches it: it is no Exception."""


@contextmanager
def timed() -> Iterator[None]:
    """Raise `TookTooLong` in what takes too long."""

    def ring(*_: object) -> None:
        raise TookTooLong

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the path of the files that are read; in memory, where there is room for files."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / "file"


def fuzzed(
    path: Path,
    count: int,
    damaged: Callable[[Random], bytes],
    read: Callable[[Path, bytes], None],
    error: type[DescentError],
) -> None:
    """Read `count` damaged files; `read` says whether what was read is right."""
    refused = 0
    for number in range(count):
        content = damaged(Random(f"{SEED} {number}"))  # noqa: S311
        path.unlink(missing_ok=True)  # what was read may lie in the old file's memory
        path.write_bytes(content)
        try:
            with timed():
                read(path, content)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:
            if type(failure) is not error:
                pytest.fail(f"seed {SEED}, number {number}: {type(failure).__name__}: {failure}")
            refused += 1
            for line in str(failure).split("\n"):
                if not (line.startswith(f"{path}:") and line.isprintable() and len(line) < 1000):
                    pytest.fail(f"seed {SEED}, number {number}: {line}")
    assert count / 2 < refused < count


def mutated(content: bytes, rng: Random) -> bytes:
    """Damage bytes, in one to four ways."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        # Half of the damage to the first bytes, where the sizes are.
        at = rng.randrange(1 + min(len(damaged), rng.choice([24, 1_000_000])))
        length = rng.choice([1, 1, 2, 4, 8, 100])
        elsewhere = rng.randrange(1 + len(damaged))
        match rng.randrange(8):
            case 0:
                damaged[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in damaged[at : at + 1])
            case 1:
                damaged[at : at + length] = rng.randbytes(length)
            case 2:
                damaged[at:at] = rng.randbytes(length)
            case 3:
                del damaged[at : at + length]
            case 4:
                damaged[at:at] = damaged[at : at + length]
            case 5:
                damaged[at : at + length] = damaged[elsewhere : elsewhere + length]
            case 6:
                del damaged[elsewhere:]
            case 7:
                size = rng.choice([1, 2, 4, 8])
                extreme = rng.choice(EXTREMES) % 256**size
                damaged[at : at + size] = extreme.to_bytes(size, rng.choice(["big", "little"]))
    return bytes(damaged)


def damaged_idx(path: Path) -> Callable[[Random], bytes]:
    """Return what damages images or labels: the gzip file, or what is within it."""
    whole = []
    for shape in [(3, 28, 28), (5,)]:
        write_idx(path, torch.arange(3 * 784).to(torch.uint8)[: torch.Size(shape).numel()].view(shape))
        whole.append(path.read_bytes())

    def damaged(rng: Random) -> bytes:
        content = rng.choice(whole)
        if rng.random() < 0.5:
            return mutated(content, rng)
        return gzip.compress(mutated(gzip.decompress(content), rng), 0, mtime=0)

    return damaged


def right_idx(path: Path, content: bytes) -> None:
    """Read an IDX file as images and as labels; its bytes must be those after a header with its sizes."""
    sizes: tuple[int | None, ...] = (None, 28, 28) if len(content) > 100 else (None,)
    array = read_idx(path, *sizes)
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    assert header + array.numpy().tobytes() == gzip.decompress(content)


def damaged_tensors(path: Path) -> Callable[[Random], bytes]:
    """Return what damages a file of tensors: any of its bytes, or its table of contents, whose length is made right."""
    tensors = {
        "weight": torch.arange(6.0).view(2, 3),
        "bias": torch.arange(3, dtype=torch.float64),
        "images": torch.arange(12, dtype=torch.uint8).view(3, 2, 2),
        "labels": torch.arange(3),
        "scalar": torch.tensor(True),
        "empty": torch.zeros(0, 2),
    }
    save_tensors(path, tensors, {"source": "drawn"})
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, data = whole[8 : 8 + length].decode(), whole[8 + length :]

    def damaged(rng: Random) -> bytes:
        kind = rng.random()
        if kind < 0.3:
            return mutated(whole, rng)
        if kind < 0.4:
            return packed(mutated(header.encode(), rng), data)
        if kind < 0.6:
            pattern, others = rng.choice([(r"\d+|\[[^]]*\]", NUMBERS), (r'(?<=")\w+(?=")', [*NAMES, *DTYPES])])
            match = rng.choice(list(re.finditer(pattern, header)))
            return packed((header[: match.start()] + rng.choice(others) + header[match.end() :]).encode(), data)
        # Still well-formed.
        table = json.loads(header)
        for name in rng.sample(sorted(tensors), rng.randint(1, 2)):
            entry, other = table[name], table[rng.choice(sorted(tensors))]
            match rng.randrange(5):
                case 0:
                    entry["dtype"] = rng.choice(DTYPES)
                case 1:
                    entry["shape"] = [rng.choice([0, 1, 2, 3, 4, 6, 12, 2**32, 2**63]) for _ in entry["shape"]]
                case 2:
                    rng.shuffle(entry["shape"])
                case 3:
                    entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
                case 4:
                    entry["data_offsets"] = [
                        rng.choice([0, 1, 12, 24, 2**64 - 1]),
                        rng.choice([0, 24, 48, 96, len(data)]),
                    ]
        return packed(json.dumps(table).encode(), data)

    return damaged


def packed(table: bytes, data: bytes) -> bytes:
    """Return a file of tensors with this table of contents."""
    return struct.pack("<Q", len(table)) + table + data


def right_tensors(path: Path, content: bytes) -> None:
    """Read tensors; they must be those of the table of contents, and its bytes."""
    found, metadata = load_tensors(path)
    (length,) = struct.unpack("<Q", content[:8])
    table, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    assert metadata == (table.pop("__metadata__", None) or {})
    assert found.keys() == table.keys()
    for name, tensor in found.items():
        start, end = table[name]["data_offsets"]
        if table[name]["dtype"] != "F4":  # torch takes two of them for one
            assert list(tensor.shape) == table[name]["shape"]
        assert tensor.flatten().view(torch.uint8).numpy().tobytes() == data[start:end]
    assert sum(tensor.nbytes for tensor in found.values()) == len(data)


def small_params() -> str:
    """Return the project's parameters with one run of each kind, and short lists."""
    yaml, written = YAML(), StringIO()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    runs = ["regression-lr-1e-4", "mlp", "convnet-adversarial"]
    params["train"] = {name: params["train"][name] for name in runs}
    params["attack"]["runs"] = runs[1:]
    params["attack"]["bench"]["epsilons"] = [0.0, 0.1]
    params["attack"]["bench"]["pgd"]["epsilons"] = [0.1]
    params["theory"]["learning_rate"]["rates"] = [0.5, 1.5]
    yaml.dump(params, written)
    return "".join(line for line in written.getvalue().splitlines(keepends=True) if "#" not in line and line.strip())


def damaged_params(whole: str) -> Callable[[Random], bytes]:
    """Return what damages lines, keys, values and bytes of parameters."""

    def damaged(rng: Random) -> bytes:
        lines = whole.splitlines()
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            at, elsewhere = rng.randrange(len(lines)), rng.randrange(len(lines))
            line, value = lines[at], rng.choice(VALUES)
            match rng.randrange(9):
                case 0:
                    del lines[at : at + rng.choice([1, 1, 5])]
                case 1:
                    lines[at:at] = lines[elsewhere : elsewhere + rng.choice([1, 1, 5])]
                case 2:
                    lines[at], lines[elsewhere] = lines[elsewhere], line
                case 3:
                    lines[at] = " " * rng.randrange(6) + line.strip()
                case 4:
                    lines.insert(at, " " * rng.randrange(6) + value)
                case 5:
                    lines[at] = value.join(re.split(r"\w[^ ]*(?=:)", line, maxsplit=1))
                case _:
                    lines[at] = value.join(re.split(r"(?<=: ).*|(?<=- ).*", line, maxsplit=1))
            lines = lines or [""]
        content = "\n".join(lines).encode()
        return mutated(content, rng) if rng.random() < 0.1 else content

    return damaged


def right_params(path: Path, content: bytes) -> None:
    """Read parameters; they must be those that DVC reads, and be so again when they are checked once more."""
    params = load_params(path)
    assert Params.model_validate(params.model_dump()) == params
    assert Params.model_validate(YAML(typ="safe", pure=True).load(content.decode())) == params


@pytest.mark.parametrize("count", [1_000, pytest.param(5_000, marks=MANY)])
def test_damaged_idx_files_are_refused_or_read_as_they_stand(path: Path, tell: Tell, count: int) -> None:
    fuzzed(path, count, damaged_idx(path), right_idx, DataError)
    tell(f"{count:,} IDX files damaged at random, within gzip and without", MUST, "so it was with each")


@pytest.mark.parametrize("count", [1_000, pytest.param(5_000, marks=MANY)])
def test_damaged_tensors_are_refused_or_read_as_they_stand(path: Path, tell: Tell, count: int) -> None:
    fuzzed(path, count, damaged_tensors(path), right_tensors, DataError)
    tell(f"{count:,} files of tensors damaged at random", MUST, "so it was with each")


@pytest.mark.parametrize("count", [200, pytest.param(1_000, marks=MANY)])
def test_damaged_parameters_are_refused_or_read_as_they_stand(path: Path, tell: Tell, count: int) -> None:
    fuzzed(path, count, damaged_params(small_params()), right_params, ParamsError)
    tell(f"{count:,} params.yaml damaged at random", MUST, "so it was with each")


def test_tensors_whose_hash_is_known_are_refused_whatever_is_damaged(path: Path, tell: Tell) -> None:
    damaged, count = damaged_tensors(path), 1_000
    digest = sha256(path.read_bytes()).hexdigest()
    load_tensors(path, digest)

    for number in range(count):
        content = damaged(Random(f"{SEED} {number}"))  # noqa: S311
        if sha256(content).hexdigest() != digest:
            path.write_bytes(content)
            with pytest.raises(DataError, match="expected SHA-256"):
                load_tensors(path, digest)
    tell(f"{count:,} files of tensors damaged at random, whose SHA-256 is on record", "all refused", "all refused")
