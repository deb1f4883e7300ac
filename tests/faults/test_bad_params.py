"""Bad parameters.

Each is put into a copy of the project's params.yaml, and a stage is run as DVC runs it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import in_its_place
from tests.faults.table import Tell
from tests.imports import ROOT

Spoil = Callable[[Path], object]
NAMED = "one line with the key and its place"
PLACED = "one line with the place"
REFUSED = "one line with the remedy"


def put(old: str, new: str) -> Spoil:
    """Replace what stands in the file, once."""

    def spoil(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return spoil


def written(content: bytes) -> Spoil:
    """Write another file in its place."""
    return lambda path: path.write_bytes(content)


def appended(text: str) -> Spoil:
    """Add to the end of the file."""
    return lambda path: path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def without_runs(path: Path) -> None:
    """Leave nothing under `train`."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^train:\n.*?(?=^attack:)", "train: {}\n", text, flags=re.DOTALL | re.MULTILINE)
    path.write_text(text, encoding="utf-8")


BOMB = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
RATE = "learning_rate: 0.002"
RUN = "  convnet:\n"

# What was tried, how, what must come of it, and each line that is printed.
CASES: list[tuple[str, Spoil, str, tuple[str, ...]]] = [
    (
        "a key is misspelt: `sede`",
        put("seed: 0", "sede: 0"),
        "the key, its place, and what may be meant",
        (r"6:1: seed: this parameter is missing", r"6:1: sede: no such parameter; did you mean seed\?"),
    ),
    ("a key is missing", put("threads: 1\n", ""), NAMED, (r"6:1: threads: this parameter is missing",)),
    ("a key too many", put("seed: 0", "seed: 0\nspeed: 9"), NAMED, (r"7:1: speed: no such parameter",)),
    ("a text where a number stands", put("seed: 0", "seed: zero"), NAMED, (r"6:1: seed: .* valid integer .*'zero'.",)),
    (
        "two mistakes at once",
        put("seed: 0\n", "seed: x\nspeed: 9\n"),
        "a line for each, with the key and its place",
        (r"6:1: seed: .* valid integer .*", r"7:1: speed: no such parameter"),
    ),
    (
        "a number in quotes: `'0.001'`",
        put("learning_rate: 0.001", "learning_rate: '0.001'"),
        NAMED,
        (r"\d+:5: train.mlp.learning_rate: .* valid number .got '0.001'.",),
    ),
    (
        "a negative learning rate",
        put(RATE, "learning_rate: -0.002"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* greater than 0 .*",),
    ),
    (
        "a learning rate that is not a number: `.nan`",
        put(RATE, "learning_rate: .nan"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* finite number .*",),
    ),
    (
        "an infinite learning rate: `.inf`",
        put(RATE, "learning_rate: .inf"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* finite number .*",),
    ),
    (
        "a learning rate beyond what a float can hold: `1e999`",
        put(RATE, "learning_rate: 1e999"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* finite number .*",),
    ),
    (
        "a list where a number stands",
        put(RATE, "learning_rate: [0.002]"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* valid number",),
    ),
    (
        "nothing where a number stands",
        put(RATE, "learning_rate:"),
        NAMED,
        (r"\d+:5: train.convnet.learning_rate: .* valid number .got None.",),
    ),
    (
        "a number where a section stands",
        put("    model:\n      kind: linear\n", "    model: 3\n"),
        NAMED,
        (r"\d+:5: train.regression-lr-1e-4.model: expected keys and values, found int",),
    ),
    (
        "a list where a section stands",
        put("  drawn:\n    train: 60000\n    test: 10000\n", "  drawn:\n  - 60000\n  - 10000\n"),
        NAMED,
        (r"\d+:3: data.drawn: expected keys and values, found list",),
    ),
    (
        "ε above 1",
        put("      epsilon: 0.1\n", "      epsilon: 1.5\n"),
        NAMED,
        (r"\d+:7: train.convnet-adversarial.adversary.epsilon: .* less than or equal to 1 .*",),
    ),
    ("a batch of 0", put("batch_size: 16\n", "batch_size: 0\n"), NAMED, (r"\d+:5: train\S+batch_size: .*than 0 .*",)),
    ("0 epochs", put("epochs: 8\n", "epochs: 0\n"), NAMED, (r"\d+:5: train.convnet.epochs: .* greater than 0 .*",)),
    (
        "more images than the data set has",
        put("train: 60000", "train: 60001"),
        NAMED,
        (r"\d+:5: data.drawn.train: .* less than or equal to 60000 .*",),
    ),
    (
        "so few patients that no test part is left",
        put("diabetes_test_share: 0.2", "diabetes_test_share: 0.001"),
        NAMED,
        (r"\d+:3: data.diabetes_test_share: .* greater than or equal to 0.01 .*",),
    ),
    ("a billion threads", put("threads: 1", "threads: 1000000000"), NAMED, (r"9:1: threads: .* equal to 1024 .*",)),
    (
        "a layer that no memory can hold",
        put("      - 100\n", "      - 99999999999\n"),
        NAMED,
        (r"\d+:9: train.mlp.model.hidden.0: .* less than or equal to 10000 .*",),
    ),
    ("a seed beyond 32 bits", put("seed: 0", "seed: 4294967296"), NAMED, (r"6:1: seed: .* less than 4294967296 .*",)),
    (
        "an unknown data set",
        put("data: images", "data: cifar-10"),
        NAMED,
        (r"\d+:5: train.mlp.data: .* 'diabetes' or 'images' .*",),
    ),
    (
        "an unknown model",
        put("kind: convnet", "kind: resnet"),
        NAMED,
        (r"\d+:5: train.convnet.model: .* 'linear', 'mlp', 'convnet'",),
    ),
    (
        "a model without its kind",
        put("      kind: convnet\n", ""),
        NAMED,
        (r"\d+:5: train.convnet.model: the key kind is missing",),
    ),
    (
        "an unknown optimiser",
        put("optimizer: sgd", "optimizer: rmsprop"),
        NAMED,
        (r"\d+:5: train.regression-lr-1e-4.optimizer: .* 'sgd', 'adam' or 'adamw' .got 'rmsprop'.",),
    ),
    (
        "an unknown adversary",
        put("    adversary: none\n", "    adversary: fgsm\n"),
        NAMED,
        (r"\d+:5: train.regression-lr-1e-4.adversary: .* 'none', or the keys epsilon and step .got 'fgsm'.",),
    ),
    (
        "a ConvNet for data without images",
        put("kind: linear", "kind: convnet\n      channels: [5]\n      hidden: []"),
        NAMED,
        (r"\d+:3: train.regression-lr-1e-4: the diabetes data has no images for a convnet; take linear or mlp",),
    ),
    (
        "an attack on a run that is not there",
        put("  - convnet\n", "  - convent\n"),
        "one line with the key",
        (r" attack.runs names 'convent', which is not under train",),
    ),
    (
        "an attack on a run, twice",
        put("  - convnet\n", "  - mlp\n"),
        "one line with the key",
        (r" attack.runs names 'mlp' twice",),
    ),
    ("no run", without_runs, NAMED, (r"\d+:1: train: one run is needed, at least",)),
    ("a run's name with a slash", put(RUN, "  ../convnet:\n"), NAMED, (r"\d+:3: train.../convnet: .* pattern .*",)),
    ("a run's name with a dot", put(RUN, "  conv.net:\n"), NAMED, (r"\d+:3: train.conv.net: .* pattern .*",)),
    (
        "a run's name that a shell would obey: `a; touch pwned`",
        put(RUN, "  'a; touch pwned':\n"),
        NAMED,
        (r"\d+:3: train.a; touch pwned: .* pattern .*",),
    ),
    (
        "a run's name that a terminal would obey, on several lines",
        put(RUN, '  "\\e[2J\\nERROR: all is well":\n'),
        NAMED,
        (r"\d+:3: train.\\x1b\[2J\\nERROR: all is well: .* pattern .*",),
    ),
    (
        "a run's name that no file can have, of 300 letters",
        put(RUN, f"  {'a' * 300}:\n"),
        NAMED,
        (r"\d+:3: train.a+…: .* at most 64 characters .*",),
    ),
    ("a run's name that is a number", put(RUN, "  7:\n"), PLACED, (r"\d+:3: expected a name as key; .*",)),
    ("broken YAML: a bracket left open", put("seed: 0", "seed: [0"), PLACED, (r"9:1: expected ',' or '\]', .*",)),
    ("a tab", put("  drawn:", "\tdrawn:"), PLACED, (r"\d+:1: found character '\\t' that cannot start any token",)),
    ("a key given twice", put("seed: 0", "seed: 0\nseed: 1"), PLACED, (r'7:1: found duplicate key "seed" .*',)),
    ("a second document", appended("---\nseed: 1\n"), PLACED, (r"\d+:1: expected a single document .*",)),
    ("a NUL character", put("seed: 0", "seed: \0"), PLACED, (r"6:7: no character that a text file may hold; .*",)),
    ("an empty file", written(b""), REFUSED, (r" expected keys and values, found NoneType",)),
    ("a list", written(b"- 1\n"), REFUSED, (r" expected keys and values, found list",)),
    ("not UTF-8", written(b"seed: \xff"), REFUSED, (r" not UTF-8 at byte 6; save it as UTF-8",)),
    ("UTF-16, as Windows' Notepad may write it", written("seed: 0".encode("utf-16")), REFUSED, (r" not UTF-8 at .*",)),
    ("no file", Path.unlink, REFUSED, (r" no such file; run this in the folder that holds it",)),
    ("a folder in its place", in_its_place(Path.mkdir), REFUSED, (r" not a file; move it away, .*",)),
    (
        "a pipe in its place, on which nobody writes",
        in_its_place(os.mkfifo),
        REFUSED,
        (r" not a file; move it away, .*",),
    ),
    ("aliases that make 3²⁹ values: a billion laughs", appended(BOMB), PLACED, (r"\d+:5: no anchor .*write .* out",)),
    ("a value within itself", put("seed: 0", "seed: &s [*s]"), PLACED, (r"6:7: no anchor .*",)),
    (
        "a tag that runs a program in careless parsers",
        put("seed: 0", "seed: !!python/object/apply:os.system ['touch pwned']"),
        PLACED,
        (r"6:7: no tag .*; write the value alone",),
    ),
    ("ten thousand lists, one in the other", put("seed: 0", f"seed: {'[' * 10_000}"), PLACED, (r"6:22: more than .*",)),
    (
        "a directive that changes what a value means",
        put("# Every number", "%YAML 1.1\n---\n# Every number"),
        PLACED,
        (r"2:1: no directive .*; remove it",),
    ),
    ("an integer of 5,000 digits", put("seed: 0", f"seed: {'9' * 5000}"), PLACED, (r"6:7: a value of more than .*",)),
    ("the 31st of February", put("seed: 0", "seed: 2026-02-31"), PLACED, (r"6:7: 2026-02-31: day is out of .*",)),
    (
        "a character that is none: `\\UFFFFFFFF`",
        put("seed: 0", 'seed: "\\UFFFFFFFF"'),
        REFUSED,
        (r" not valid YAML: .*",),
    ),
    ("a file of over 1 MB", appended("# more\n" * 160_000), "refused unread", (r" more than 65,536 bytes; .*",)),
    (
        "five thousand keys too many",
        appended("".join(f"{n:x}g: 1\n" for n in range(5000))),
        "a line each for the first twenty",
        (*[r"\d+:1: [0-9a-f]+g: no such parameter"] * 20, r" and 4,980 mistakes more"),
    ),
]


def files(folder: Path) -> dict[Path, bytes]:
    """Return what every file below the folder holds, but for the locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".ckpt" not in path.parts}


@pytest.mark.parametrize(("tried", "spoil", "must", "lines"), CASES, ids=[case[0] for case in CASES])
def test_bad_parameters_end_a_stage_in_words_before_it_writes(
    params_file: Path, tell: Tell, tried: str, spoil: Spoil, must: str, lines: tuple[str, ...]
) -> None:
    folder = params_file.parent
    spoil(params_file)
    before = files(folder)

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DESCENT_", "DVC_"))}
    done = subprocess.run(
        [sys.executable, "-m", "stages.download"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    tell(tried, must, done.stderr)

    printed = done.stderr.removeprefix("ERROR: ").splitlines()
    assert done.returncode == 1
    assert not done.stdout
    assert len(printed) == len(lines), done.stderr
    for found, line in zip(printed, lines, strict=True):
        assert re.fullmatch(f"params.yaml:{line}", found), found
        assert len(found) < 500
    assert files(folder) == before
