"""`params.yaml` is read strictly, and every mistake in it is named with its place."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from pydantic import ValidationError
from ruamel.yaml import YAML

from descent.io.errors import ParamsError
from descent.io.params import load_params
from descent.io.schema import Params
from tests.imports import ROOT


def test_the_projects_own_file_is_read(params: Params) -> None:
    assert params.train["mlp-weight-decay"].weight_decay == 0.001
    assert list(params.train)[:2] == ["regression-lr-1e-4", "regression-lr-1e-2"]
    assert list(params.train)[2:] == params.attack.runs == ["mlp", "mlp-weight-decay", "convnet", "convnet-adversarial"]


def test_parameters_cannot_be_changed(params: Params) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        params.seed = 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 0", "sede: 0", r"sede: no such parameter; did you mean seed\?"),
        ("seed: 0", "sede: 0", "seed: this parameter is missing"),
        ("seed: 0", "seed: -1", r"params.yaml:\d+:1: seed: .*greater than or equal to 0 \(got -1\)"),
        ("seed: 0", "seed: zero", r"seed: .*valid integer \(got 'zero'\)"),
        ("seed: 0", "seed: true", r"seed: .*valid integer \(got True\)"),
        ("threads: 1", "threads: 0", "threads: .*greater than 0"),
        ("fallback: drawn", "fallback: maybe", "data.fallback: .*'drawn' or 'none'"),
        ("    train: 60000", "    train: 6e4", "data.drawn.train: .*valid integer"),
        ("learning_rate: 0.002", "learning_rate: .nan", "train.convnet.learning_rate: .*finite"),
        ("learning_rate: 0.002", "learning_rate: -1.0", "train.convnet.learning_rate: .*greater than 0"),
        ("learning_rate: 0.002", "learning_rate: '0.002'", "train.convnet.learning_rate: .*valid number"),
        ("learning_rate: 0.002", "learning_rate: [0.002]", "train.convnet.learning_rate: .*valid number"),
        ("weight_decay: 0.001", "weight_dacay: 0.001", r"weight_dacay: no such parameter; did you mean weight_decay\?"),
        ("kind: convnet", "kind: resnet", "train.convnet.model: .*'linear', 'mlp', 'convnet'"),
        ("      - 64\n", "      - 64\n      - 0\n", r"train.convnet.model.channels.2: .*greater than 0"),
        ("optimizer: sgd", "optimizer: rmsprop", "train.regression-lr-1e-4.optimizer: .*'sgd', 'adam' or 'adamw'"),
        ("epochs: 8\n", "epochs: 0\n", "train.convnet.epochs: .*greater than 0"),
        ("  convnet:\n    data", "  conv.net:\n    data", "train.conv.net: .*pattern"),
        ("  convnet:\n    data", "  ../convnet:\n    data", "train.../convnet: .*pattern"),
        ("  convnet:\n    data", "  '10':\n    data", r"train.10: .*not a number, null, true or false"),
        ("  convnet:\n    data", "  '1e5':\n    data", r"train.1e5: .*not a number, null, true or false"),
        ("  convnet:\n    data", "  'inf':\n    data", r"train.inf: .*not a number, null, true or false"),
        ("  convnet:\n    data", "  'nan':\n    data", r"train.nan: .*not a number, null, true or false"),
        ("  convnet:\n    data", "  'null':\n    data", r"train.null: .*not a number, null, true or false"),
        ("  convnet:\n    data", "  'true':\n    data", r"train.true: .*not a number, null, true or false"),
        ("overfitting_window: 5", "overfitting_window: 4", r"evaluation.overfitting_window: .*odd.* \(got 4\)"),
        (
            "  runs:\n  - mlp\n  - mlp-weight-decay\n  - convnet\n  - convnet-adversarial\n",
            "  runs: []\n",
            "attack.runs: .*at least 1",
        ),
        (
            "kind: linear",
            "kind: convnet\n      channels: [5]\n      hidden: []",
            "regression-lr-1e-4: the diabetes data has no images for a convnet; take linear or mlp",
        ),
        ("  - convnet\n", "  - convent\n", "attack.runs names 'convent', which is not under train"),
        ("  - convnet\n", "  - regression-lr-1e-4\n", "'regression-lr-1e-4', which does not classify images"),
        (
            "      data: diabetes\n",
            "      data: images\n",
            "parametrised_relu: run must train an mlp on the diab",
        ),
        ("    rate: 0.2", "    rate: 1.2", "theory.broadcasting.rate: .*less than 1"),
        ("    - 0.3\n", "    - 3\n", "attack.bench.epsilons.10: .*less than or equal to 1"),
        ("    - 0.3\n", "    - 0.1\n", "attack.bench: epsilons must increase from each value to the next, to"),
        (
            "    - 0.3\n",
            "    - 0.2000001\n",
            "attack.bench: epsilons must increase from each value to the next, to six digits",
        ),
        ("    - 0.0\n    - 0.005\n", "    - 0.005\n", "attack.bench: epsilons must begin with 0.0"),
        (
            "    epsilon: 0.1\n    # The write",
            "    epsilon: 0.3\n    # The write",
            "attack.bench: pgd.epsilons must hold epsilon",
        ),
        (
            "    adversary: none\n",
            "    adversary: fgsm\n",
            "train.regression-lr-1e-4.adversary.*: Input should be 'none'",
        ),
        (
            "    adversary: none\n",
            "    adversary:\n      epsilon: 0.1\n      step: 0.1\n",
            "regression-lr-1e-4: adversary takes images; on the diabetes data it must be none",
        ),
        ("seed: 0", "seed: 0\nseed: 1", r'params.yaml:\d+:1: found duplicate key "seed"'),
        ("seed: 0", "seed: [0", r"params.yaml:\d+:\d+: "),
        ("seed: 0", "\tseed: 0", r"params.yaml:\d+:1: found character '\\t'"),
    ],
)
def test_a_mistake_is_refused_with_its_key(params_file: Path, old: str, new: str, message: str) -> None:
    text = params_file.read_text(encoding="utf-8")
    assert old in text
    params_file.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(ParamsError, match=message):
        load_params(params_file)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "key"),
    [
        (
            "weight_decay: 0.001",
            "weight_decay: -0.001",
            "    weight_decay: -0.001",
            5,
            "train.mlp-weight-decay.weight_decay",
        ),
        ("      - 64\n", "      - 64\n      - 0\n", "      - 0", 9, "train.convnet.model.channels.2"),
        (
            "  fallback: drawn\n",
            "",
            "  images: fashion-mnist",
            3,
            "data.fallback",
        ),  # the first key beside a missing one
    ],
)
def test_the_place_of_a_mistake_is_its_line_and_column(
    params_file: Path, old: str, new: str, line: str, column: int, key: str
) -> None:
    text = params_file.read_text(encoding="utf-8").replace(old, new, 1)
    params_file.write_text(text, encoding="utf-8")
    number = text.splitlines().index(line) + 1

    with pytest.raises(ParamsError, match=rf"params.yaml:{number}:{column}: {key}: "):
        load_params(params_file)


def test_all_mistakes_are_reported_at_once(params_file: Path) -> None:
    text = params_file.read_text(encoding="utf-8")
    params_file.write_text(text.replace("seed: 0", "seed: x").replace("threads: 1", "threads: y"), encoding="utf-8")

    with pytest.raises(ParamsError) as error:
        load_params(params_file)

    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == ["seed", "threads"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b"seed: \xff"), "not UTF-8 at byte 6"),
        (lambda path: path.write_text(""), "expected keys and values, found NoneType"),
        (lambda path: path.write_text("- 1"), "expected keys and values, found list"),
        (lambda path: path.write_text("%YAML 1.2\n---\nseed: 0"), "no directive"),
        (lambda path: path.write_text("seed: !!int 0"), "no tag"),
        (lambda path: path.write_text(f"seed: {'9' * 999}"), "Exceeds|Input should be"),
        (lambda path: path.write_text("# x\n" * 2**14 + "seed: 0"), "more than 65,536 bytes"),
        (lambda path: (path.unlink(), path.mkdir()), "not a file; move it away"),
    ],
)
def test_a_file_that_holds_no_parameters_is_refused(
    params_file: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(params_file)

    with pytest.raises(ParamsError, match=message):
        load_params(params_file)


def test_a_run_that_does_not_exist_is_named_with_those_that_do(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"no run 'mpl'; it has regression-lr-1e-4, .*mlp"):
        params.train["mpl"]


def test_the_values_are_those_that_dvcs_parser_reads(params: Params) -> None:
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))

    assert Params.model_validate(values) == params


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(params_file: Path, params: Params) -> None:
    text = params_file.read_text(encoding="utf-8")
    params_file.write_text("\ufeff" + text, encoding="utf-8", newline="\r\n")

    assert load_params(params_file) == params


@pytest.mark.parametrize("value", ["fgsm", "[0.1, 0.1]", "0.1", "true", "{}", "{epsilon: 0.1, step: x}"])
def test_a_mistyped_adversary_is_one_mistake_for_each_key(params_file: Path, value: str) -> None:
    text = params_file.read_text(encoding="utf-8")
    params_file.write_text(text.replace("adversary: none", f"adversary: {value}", 1), encoding="utf-8")

    with pytest.raises(ParamsError) as error:
        load_params(params_file)

    assert len(str(error.value).splitlines()) == (2 if value == "{}" else 1)
    assert str(error.value).count(": train.regression-lr-1e-4.adversary") == (2 if value == "{}" else 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 0", 'seed: "\\e[2J\\a"'),
        ("seed: 0", '"\\e[2J\\nseed": 0'),
        ("seed: 0", '"\\ud800": 0'),
        ("seed: 0", f"seed: {'x' * 900}"),
        ("seed: 0", "seed: \u202e0"),
        ("kind: convnet", 'kind: "\\nERROR: \\e[2J"'),
        ("seed: 0", '"a\\nb": 0\n"a\\nb": 0'),
    ],
)
def test_what_a_file_holds_cannot_command_the_terminal(params_file: Path, old: str, new: str) -> None:
    text = params_file.read_text(encoding="utf-8")
    params_file.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(ParamsError) as error:
        load_params(params_file)

    for line in str(error.value).split("\n"):
        assert line.startswith(f"{params_file}:")
        assert line.isprintable()
        assert len(line) < 600


def scalars(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every key that holds no list and no section."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("name", ["params.yaml", "studies.yaml"])
def test_dvc_exp_run_changes_one_line_for_each_parameter(tmp_path: Path, name: str) -> None:
    path, before = tmp_path / name, (ROOT / name).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    found = dict(scalars(YAML(typ="safe").load(before)))
    others = {key: "other" if isinstance(value, str) else value + 1 for key, value in found.items()}
    apply_overrides(path, [f"{key}={value}" for key, value in others.items()])  # as `--set-param` does
    after = path.read_text(encoding="utf-8")
    assert dict(scalars(YAML(typ="safe").load(after))) == others
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    assert sum(old != new for old, new in pairs) == len(found)
