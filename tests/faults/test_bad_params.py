"""Bad parameters: each mistake in params.yaml is one line with its place and its key, and nothing is written."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from descent.io.errors import ParamsError
from descent.io.params import load_params
from tests.imports import ROOT

pytestmark = pytest.mark.usefixtures("twenty_seconds")
RATE, CONVNET, KIND, EPSILON = "learning_rate: 0.006", "  convnet:\n", "      kind: linear\n", "    epsilon: 0.1\n"
CONVOLUTION = "{filters: 5, kernel_size: 3, stride: 1, padding: 0, max_pool: 1}"
CHANNELS = f"kind: convnet\n      batch_norm: true\n      convolutions: [{CONVOLUTION}]"
DRAWN = "  drawn:\n    train: 60000\n    test: 10000\n"
ADVERSARY = "expected none, or keys with kind: fgsm or kind: interval-bounds"
NONE, ATTACK = "adversary: none", "{kind: fgsm, epsilon: 0.1, step: 1}"
BOUNDS = "{kind: interval-bounds, epsilon: 0.1, ramp: 0.5, share: 1.0}"
NORMALISED = "epochs: 8\n    adversary: none"
KEYS = "".join(f"{number:x}g: 1\n" for number in range(5000))
# How the lines about some keys begin.
CONVNET_RATE, BENCH = r"\d+:5: train\.convnet\.learning_rate: ", r"\d+:3: attack\.bench: "
FIRST = r"train\.regression-lr-1e-4"

# What is wrong, the text that is replaced, the text that replaces it, and how each line begins after `params.yaml:`.
MISTAKES = [
    ("misspelt key", "seed: 0", "sede: 0", r"6:1: seed: .*missing", r"6:1: sede: .* did you mean seed\?"),
    ("missing key", "threads: 1\n", "", r"6:1: threads: .*missing"),
    ("surplus key", "seed: 0", "seed: 0\nspeed: 9", r"7:1: speed: no such parameter"),
    ("number in quotes", RATE, "learning_rate: '0.002'", CONVNET_RATE + r".*number \(got '0\.002'\)"),
    ("NaN", RATE, "learning_rate: .nan", CONVNET_RATE + ".*finite"),
    ("number for a section", f"    model:\n{KIND}", "    model: 3\n", rf"\d+:5: {FIRST}\.model: .*found int"),
    ("list for a section", DRAWN, "  drawn: [1]\n", r"\d+:3: data\.drawn: .*list"),
    ("ε above 1", "      epsilon: 0.1\n", "      epsilon: 1.5\n", r"\d+:7: train\S+adversary\.epsilon: .*equal to 1 "),
    ("no epochs", "epochs: 8\n", "epochs: 0\n", r"\d+:5: train\.convnet\.epochs: .*greater than 0"),
    ("too large a layer", "      - 100\n", "      - 99999999\n", r"\d+:9: train\.mlp\.model\.hidden\.0: .*equal to"),
    ("seed beyond 32 bits", "seed: 0", "seed: 4294967296", r"6:1: seed: .*less than 4294967296"),
    ("even window", "window: 5", "window: 4", r"\d+:3: evaluation\.overfitting_window: .*odd.*\(got 4\)"),
    ("unknown model", "kind: convnet", "kind: resnet", r"\d+:5: train\.convnet\.model: .*'linear', 'mlp', 'convnet'"),
    ("model without kind", "      kind: convnet\n", "", r"\d+:5: train\.convnet\.model: .*kind is missing"),
    ("unknown optimiser", "optimizer: sgd", "optimizer: rmsprop", rf"\d+:5: {FIRST}\.optimizer: .*'sgd', 'adam' or"),
    (
        "unknown adversary",
        NONE,
        "adversary: fgsm",
        rf"\d+:5: {FIRST}\.adversary: {ADVERSARY}",
    ),
    (
        "empty adversary",
        NONE,
        "adversary: {}",
        rf"\d+:5: {FIRST}\.adversary: {ADVERSARY}",
    ),
    ("adversary's step", NONE, "adversary: {kind: fgsm, epsilon: 0.1, step: x}", rf"\d+:43: {FIRST}\.adversary\.step"),
    ("keys of an adversary", NONE, "adversary: {kind: fgsm}", *[rf"\d+:16: {FIRST}\.adversary\.\w+: .*missing"] * 2),
    ("adversary of patients", NONE, f"adversary: {ATTACK}", rf"\d+:3: {FIRST}: .* for images"),
    ("flips of patients", "flips: false", "flips: true", rf"\d+:3: {FIRST}: .* for images"),
    ("smoothed patients", "smoothing: 0.0", "smoothing: 0.1", rf"\d+:3: {FIRST}: .* for images"),
    ("warm-up of all steps", "warm_up: 0.0", "warm_up: 1.0", rf"\d+:5: {FIRST}\.warm_up: .*less than 1"),
    (
        "momentum of Adam",
        "optimizer: adam\n    momentum: 0.0",
        "optimizer: adam\n    momentum: 0.9",
        r"\d+:3: train\.mlp: .*momentum is for sgd; adam has its",
    ),
    ("no stride", "stride: 2", "stride: 0", r"\d+:9: train\.\S+convolutions\.0\.stride: .*than 0"),
    (
        "a share of no image",
        "share: 0.5",
        "share: 0.004",
        r"\d+:3: train\.\S+: a share of 0\.004 of a batch of 100 is no image",
    ),
    (
        "bounds of a batch",
        NORMALISED,
        f"epochs: 8\n    adversary: {BOUNDS}",
        r"\d+:3: train\.convnet: .*interval-bounds cannot",
    ),
    ("ConvNet of patients", "kind: linear", f"{CHANNELS}\n      hidden: []", rf"\d+:3: {FIRST}: .*mlp"),
    ("ReLU on images", "      data: diabetes\n", "      data: images\n", r"\d+:3: theory\.parametrised_relu: "),
    ("no attack", "  runs:\n  - mlp", "  runs: []\n  run:\n  - mlp", r"\d+:3: attack\.runs: .*at least 1", ""),
    ("attack on no run", "  - convnet\n", "  - convent\n", r" attack\.runs names 'convent', which is not under train"),
    ("attack on a regression", "  - convnet\n", "  - regression-lr-1e-4\n", " .*, which does not classify images"),
    ("attack twice", "  - convnet\n", "  - mlp\n", r"\d+:3: attack\.runs: the same value twice"),
    ("equal ε", "    - 0.3\n", "    - 0.2000001\n", r"\d+:5: attack\.bench\.epsilons: must increase .*six digits"),
    ("no ε of 0", "    - 0.0\n    - 0.005\n", "    - 0.005\n", rf"{BENCH}epsilons must begin with 0\.0"),
    (
        "small ε twice",
        "    - 0.002\n",
        "    - 0.00500000001\n",
        rf"{BENCH}each of small_epsilons must differ .*six digits",
    ),
    ("ε without PGD", f"{EPSILON}    # The", "    epsilon: 0.3\n    # The", rf"{BENCH}pgd\.epsilons must hold epsilon"),
    *(
        (f"name of a run: {name[:20]}", CONVNET, f"  {name}:\n", rf"\d+:3: train\.{said}")
        for name, said in (
            ("../convnet", r"\.\./convnet: .*pattern"),
            ("conv.net", r"conv\.net: .*pattern"),
            ("'a; touch pwned'", "a; touch pwned: .*pattern"),
            ("$(touch pwned)", r"\$\(touch pwned\): .*pattern"),
            ("-c touch", "-c touch: .*pattern"),
            (r'"\e[2J\nERROR: all is well"', r"\\x1b\[2J.*pattern"),
            ("a" * 300, "a+…: .*at most 64 characters"),
            *((f"'{word}'", f"{word}: .*not a number, null") for word in ("10", "1e5", "inf", "nan", "null", "true")),
        )
    ),
    ("open bracket", "seed: 0", "seed: [0", r"9:\d+: "),
    ("tab", "  drawn:", "\tdrawn:", r"\d+:1: "),
    ("duplicate key", "seed: 0", "seed: 0\nseed: 1", r'7:1: .*duplicate key "seed"'),
    ("control character", "seed: 0", "seed: \0", ""),
    ("escape sequence as value", "seed: 0", 'seed: "\\e[2J\\a"', r"6:1: seed: .*integer"),
    ("escape sequence as key", "seed: 0", 'seed: 0\n"\\e[2J\\n": 0', r"7:1: \\x1b\[2J.*: no such parameter"),
    ("integer of 5,000 digits", "seed: 0", f"seed: {'9' * 5000}", ""),
    ("tag of a program", "seed: 0", "seed: !!python/object/apply:os.system ['touch pwned']", r"6:\d+: "),
    ("value within itself", "seed: 0", "seed: &s [*s]", r"6:\d+: an alias in a value with an anchor"),
    ("ten thousand levels", "seed: 0", f"seed: {'[' * 10_000}", r"6:\d+: more than "),
    ("5,000 keys", "seed: 0", f"seed: 0\n{KEYS}", *[r"\d+:1: [0-9a-f]+g: no such"] * 20, " and 4,980 mistakes more"),
]


def refused(path: Path) -> list[str]:
    """Return what is said of each mistake in the file, without the path."""
    with pytest.raises(ParamsError) as error:
        load_params(path)
    lines = str(error.value).split("\n")
    assert all(line.startswith(f"{path}:") and line.isprintable() and len(line) < 600 for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[name for name, *_ in MISTAKES])
def test_a_mistake_is_one_line_with_its_place_and_key(params_file: Path, mistake: tuple[str, ...]) -> None:
    _, old, new, *lines = mistake
    text = params_file.read_text(encoding="utf-8")
    assert old in text
    params_file.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = refused(params_file)
    assert len(found) == len(lines), found
    assert [each for each, line in zip(found, lines, strict=True) if not re.match(line, each)] == []
    assert os.listdir(params_file.parent) == ["params.yaml"]


def bomb(first: str, level: str) -> Callable[[Path], object]:
    """Return what appends aliases of aliases, each level many times as large as the one before."""
    text = f"a0: &a0 {first}\n" + "".join(f"a{n}: &a{n} {level.replace('*', f'*a{n - 1}')}\n" for n in range(1, 30))
    return lambda path: path.write_text(f"{path.read_text(encoding='utf-8')}{text}", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(Path.unlink, "no such file", id="no file"),
        pytest.param(lambda path: path.write_bytes(b""), "expected keys and values", id="empty file"),
        pytest.param(lambda path: path.write_bytes(b"- 1\n"), "expected keys and values, found list", id="list"),
        pytest.param(
            lambda path: path.write_bytes(b"seed: \xff"),
            "UTF-8: 'utf-8' codec can't decode byte 0xff in",
            id="not UTF-8",
        ),
        pytest.param(lambda path: path.write_bytes("seed: 0".encode("utf-16")), "not valid YAML in UTF-8", id="UTF-16"),
        pytest.param(lambda path: path.write_text("#\n" * 2**15 + "a: 0"), "more than 65,536", id="large file"),
        pytest.param(bomb("[ha, ha]", f"[{', '.join('*' * 9)}]"), "an alias in a value", id="billion laughs"),
        pytest.param(bomb("{a: 1}", "{<<: [*, *]}"), "an alias in a value", id="billion laughs by merge keys"),
    ],
)
def test_a_file_without_parameters_is_refused(params_file: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(params_file)
    assert said in refused(params_file)[0]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("params.yaml", RATE, "learning_rate: -1", r"params\.yaml:\d+:5: train\.convnet\.learning_rate: .*"),
        ("studies.yaml", "weight_decay:", "weigth:", r"studies\.yaml: studies\.weight-decay\.grid\.weigth: no such .*"),
    ],
)
def test_a_mistake_ends_a_stage_before_it_writes(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    for name in ("params.yaml", "studies.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(old, new, 1) if name == file else text, encoding="utf-8")
    command = [sys.executable, "-m", "stages.validate"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"ERROR: {said}\n", done.stderr)
    assert {path.name for path in tmp_path.iterdir()} <= {"params.yaml", "studies.yaml", ".ckpt"}
