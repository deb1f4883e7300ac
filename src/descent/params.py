"""Read `params.yaml` into frozen, strictly checked types; report every mistake at once, with its line."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from descent.errors import ParamsError

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
# A run's name becomes a file name, a word on a command line and a key that DVC splits at dots.
RunName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Drawn(_Section):
    """How many garments to draw where the real images cannot be had."""

    train: Count
    test: Count


class Data(_Section):
    """Where the data comes from, and how it is split."""

    mirrors: list[str]
    fallback: Literal["drawn", "none"]
    drawn: Drawn
    diabetes_test_share: Share


class Evaluation(_Section):
    """How a model is measured after each epoch."""

    train_subset: Count
    batch_size: Count
    overfitting_window: Count
    overfitting_rise: Positive


class Linear(_Section):
    """One linear layer."""

    kind: Literal["linear"]


class MLP(_Section):
    """Linear layers with ReLU between them."""

    kind: Literal["mlp"]
    hidden: list[Count]


class ConvNet(_Section):
    """3×3 convolutions, each followed by ReLU and 2×2 max-pooling, then linear layers."""

    kind: Literal["convnet"]
    channels: Annotated[list[Count], Field(min_length=1)]
    hidden: list[Count]


Epsilon = Annotated[float, Field(gt=0, le=1)]


class Adversary(_Section):
    """How each training batch is attacked, by one step from a random start; in units of pixels from 0 to 1."""

    epsilon: Epsilon
    step: Positive


class Run(_Section):
    """One training run."""

    data: Literal["diabetes", "fashion-mnist"]
    model: Linear | MLP | ConvNet = Field(discriminator="kind")
    optimizer: Literal["sgd", "adam"]
    learning_rate: Positive
    schedule: Literal["constant", "linear"]
    weight_decay: Annotated[float, Field(ge=0)]
    reduction: Literal["sum", "mean"]
    batch_size: Count
    epochs: Count
    adversary: Literal["none"] | Adversary

    @model_validator(mode="after")
    def _fits(self) -> "Run":
        if self.data == "diabetes" and self.model.kind == "convnet":
            raise ValueError("the diabetes data has no images for a convnet; take linear or mlp")
        if self.data == "diabetes" and self.adversary != "none":
            raise ValueError("adversary takes images; on the diabetes data it must be none")
        return self


class PGD(_Section):
    """How projected gradient descent is applied."""

    images: Count
    epsilons: Annotated[list[Epsilon], Field(min_length=1)]
    steps: Count
    step: Positive
    restarts: Count


class Bench(_Section):
    """How a classifier is attacked; every ε is in units of pixels from 0 to 1."""

    epsilons: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2)]
    tolerance: Annotated[float, Field(gt=0, le=0.1)]
    slider_stop: Epsilon
    slider_steps: Count
    bag_confidence: Share
    pgd: PGD
    epsilon: Epsilon
    write_up_epsilon: Positive

    @model_validator(mode="after")
    def _rises(self) -> "Bench":
        for name, epsilons in (("epsilons", self.epsilons), ("pgd.epsilons", self.pgd.epsilons)):
            if epsilons != sorted(set(epsilons)):
                raise ValueError(f"{name} must rise from each value to the next")
        if self.epsilons[0] != 0 or not {self.epsilon, *self.pgd.epsilons} <= set(self.epsilons):
            raise ValueError("epsilons must begin with 0.0, and hold epsilon and all of pgd.epsilons")
        if self.epsilon not in self.pgd.epsilons:
            raise ValueError("pgd.epsilons must hold epsilon")
        return self


class Attack(_Section):
    """Which runs are attacked, and how."""

    runs: list[RunName]
    bench: Bench


class ParametrisedReLU(_Section):
    """How the parametrised ReLU is held against the ordinary one."""

    networks: Count
    image_size: Annotated[int, Field(ge=5)]
    seeds: Annotated[int, Field(ge=2)]
    run: Run

    @model_validator(mode="after")
    def _trains_an_mlp(self) -> "ParametrisedReLU":
        if self.run.data != "diabetes" or self.run.model.kind != "mlp":
            raise ValueError("run must train an mlp on the diabetes data")
        return self


class Sigmoid(_Section):
    """Where the sigmoid and its derivative are looked at."""

    traced_at: float
    largest_x: Annotated[float, Field(gt=100)]


class LearningRate(_Section):
    """The learning rates at which linear regression is tried, as multiples of 2/λmax."""

    rates: Annotated[list[Positive], Field(min_length=2)]
    batch_size: Count
    epochs: Count


class Broadcasting(_Section):
    """How the slipped loss is descended; the rate is a multiple of 2/λmax."""

    rate: Annotated[float, Field(gt=0, lt=1)]
    steps: Count


class Theory(_Section):
    """What the theory is shown with."""

    parametrised_relu: ParametrisedReLU
    sigmoid: Sigmoid
    learning_rate: LearningRate
    broadcasting: Broadcasting


class _Runs(dict[str, Run]):
    """Runs by name, with an error that helps when there is none of that name."""

    def __missing__(self, name: str) -> Run:
        raise ParamsError(f"params.yaml: train has no run {name!r}; it has {', '.join(self)}")


class Params(_Section):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Count
    data: Data
    evaluation: Evaluation
    train: dict[RunName, Run]
    attack: Attack
    theory: Theory

    @field_validator("train", mode="after")
    @classmethod
    def _named(cls, runs: dict[str, Run]) -> dict[str, Run]:
        return _Runs(runs)

    @model_validator(mode="after")
    def _attacks_classifiers(self) -> "Params":
        for name in self.attack.runs:
            if name not in self.train:
                raise ValueError(f"attack.runs names {name!r}, which is not under train")
            if self.train[name].data != "fashion-mnist":
                raise ValueError(f"attack.runs names {name!r}, which does not classify images")
        return self


def load_params(path: Path) -> Params:
    """Read and check the parameters.

    Raises:
        ParamsError: The file cannot be read or any key of it is wrong; the message has a line for each
            mistake, `FILE:LINE:COLUMN: KEY: what was expected`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # DVC's own parser, so that both read the same numbers: PyYAML takes 1e-3 for a string.
        tree = YAML(typ="safe", pure=True).compose(text)
        values = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file; run this in the folder that holds it") from error
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context).splitlines()[0]
        raise ParamsError(f"{path}{_position(place)}: {problem}") from error
    except YAMLError as error:
        raise ParamsError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected keys and values, found {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(_explained(path, tree, error))) from error


def _explained(path: Path, tree: Node, error: ValidationError) -> Iterable[str]:
    """Turn pydantic's errors into lines with the position and the dotted name of the key."""
    mistakes = error.errors(include_url=False)
    missing = [mistake["loc"] for mistake in mistakes if mistake["type"] == "missing"]
    for mistake in mistakes:
        node, names = _located(tree, mistake["loc"])
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            message = "no such parameter"
            siblings = [str(loc[-1]) for loc in missing if loc[:-1] == mistake["loc"][:-1]]
            if close := get_close_matches(str(mistake["loc"][-1]), siblings, n=1):
                message += f"; did you mean {close[0]}?"
        elif mistake["type"] == "missing":
            message = "this parameter is missing"
        elif isinstance(mistake["input"], str | int | float | None):
            message += f" (got {mistake['input']!r})"
        yield f"{path}{_position(node.start_mark)}: {'.'.join(names) or 'params'}: {message}"


def _located(tree: Node, location: tuple[int | str, ...]) -> tuple[Node, list[str]]:
    """Walk down the YAML nodes along `location`; what the file does not have (a union's tag) is passed over."""
    node, names = tree, list[str]()
    for last, part in enumerate(location, start=1 - len(location)):
        children: dict[int | str, tuple[Node, Node]] = {}
        if isinstance(node, MappingNode):
            children = {key.value: (key, value) for key, value in node.value}
        elif isinstance(node, SequenceNode):
            children = {index: (item, item) for index, item in enumerate(node.value)}
        if part in children:
            key, value = children[part]
            node = key if last == 0 and isinstance(node, MappingNode) else value
            names.append(str(part))
        elif last == 0 and part != "[key]":
            names.append(str(part))
    return node, names


def _position(mark: StringMark | None) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""
