"""Read `params.yaml` into frozen, strictly checked types; report every mistake at once, with its line."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from descent.errors import ParamsError
from descent.plain_yaml import one_line, position, read_yaml

# The upper bounds are far from what anybody wants, and well within what torch can count to and hold in float32.
Count = Annotated[int, Field(gt=0, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(gt=0, lt=1)]
Widths = Annotated[list[Annotated[int, Field(gt=0, le=10_000)]], Field(max_length=10)]


def _name(text: str) -> str:
    """Refuse what a table or YAML reads as something else than a name: 10, 1e5, inf, nan, null, true."""
    try:
        float(text)
    except ValueError:
        if text not in ("null", "true", "false"):
            return text
    raise PydanticCustomError("name", "a run needs a name that is not a number, null, true or false")


# A run's name becomes a file name, a word in DVC's environment and a key that DVC splits at dots.
RunName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64), AfterValidator(_name)]


class Section(BaseModel):
    """Keys and values, strictly checked and never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Drawn(Section):
    """How many garments to draw where the real images cannot be had."""

    train: Annotated[int, Field(gt=0, le=60_000)]
    test: Annotated[int, Field(gt=0, le=60_000)]


PublishedImages = Literal["fashion-mnist", "mnist", "kmnist"]


class Data(Section):
    """Where the data comes from, and how it is split."""

    images: PublishedImages | Literal["folder"]
    mirrors: dict[PublishedImages, list[str]]
    fallback: Literal["drawn", "none"]
    drawn: Drawn
    # Some patients must be left on either side.
    diabetes_test_share: Annotated[float, Field(ge=0.01, le=0.9)]


def _odd(count: int) -> int:
    if count % 2 == 0:
        raise PydanticCustomError("odd", "Input should be odd: the mean is centred on an epoch")
    return count


class Evaluation(Section):
    """How a model is measured after each epoch."""

    train_subset: Count
    batch_size: Count
    overfitting_window: Annotated[Count, AfterValidator(_odd)]
    overfitting_rise: Positive


class Linear(Section):
    """One linear layer."""

    kind: Literal["linear"]


class MLP(Section):
    """Linear layers with ReLU between them."""

    kind: Literal["mlp"]
    hidden: Widths


class ConvNet(Section):
    """3×3 convolutions, each followed by ReLU and 2×2 max-pooling, then linear layers."""

    kind: Literal["convnet"]
    channels: Annotated[Widths, Field(min_length=1)]
    hidden: Widths


Model = Linear | MLP | ConvNet
Epsilon = Annotated[float, Field(gt=0, le=1)]


class Adversary(Section):
    """How each training batch is attacked, by one step from a random start; in units of pixels from 0 to 1."""

    epsilon: Epsilon
    step: Positive


def _adversary(value: object) -> str | None:
    """Say which of the two an adversary is meant to be; None where it is neither."""
    if value == "none":
        return "none"
    return "attack" if isinstance(value, dict | Adversary) else None


class Run(Section):
    """One training run."""

    data: Literal["diabetes", "images"]
    model: Model = Field(discriminator="kind")
    optimizer: Literal["sgd", "adam", "adamw"]
    learning_rate: Positive
    schedule: Literal["constant", "linear"]
    weight_decay: Annotated[float, Field(ge=0, le=1e6)]
    reduction: Literal["sum", "mean"]
    batch_size: Count
    epochs: Count
    adversary: Annotated[
        Annotated[Literal["none"], Tag("none")] | Annotated[Adversary, Tag("attack")],
        Discriminator(
            _adversary,
            custom_error_type="adversary",
            custom_error_message="Input should be 'none', or the keys epsilon and step",
        ),
    ]

    @model_validator(mode="after")
    def _fits(self) -> "Run":
        if self.data == "diabetes" and self.model.kind == "convnet":
            raise ValueError("the diabetes data has no images for a convnet; take linear or mlp")
        if self.data == "diabetes" and self.adversary != "none":
            raise ValueError("adversary takes images; on the diabetes data it must be none")
        return self


class PGD(Section):
    """How projected gradient descent is applied."""

    images: Count
    epsilons: Annotated[list[Epsilon], Field(min_length=1)]
    steps: Count
    step: Positive
    restarts: Count


class Bench(Section):
    """How a classifier is attacked; every ε is in units of pixels from 0 to 1."""

    epsilons: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2)]
    tolerance: Annotated[float, Field(gt=0, le=0.1)]
    slider_stop: Epsilon
    slider_steps: Annotated[int, Field(gt=0, le=1000)]
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


class Attack(Section):
    """Which runs are attacked, and how."""

    runs: Annotated[list[RunName], Field(min_length=1)]
    bench: Bench


class ParametrisedReLU(Section):
    """How the parametrised ReLU is held against the ordinary one."""

    networks: Count
    image_size: Annotated[int, Field(ge=5, le=1000)]
    seeds: Annotated[int, Field(ge=2, le=1000)]
    run: Run

    @model_validator(mode="after")
    def _trains_an_mlp(self) -> "ParametrisedReLU":
        if self.run.data != "diabetes" or self.run.model.kind != "mlp":
            raise ValueError("run must train an mlp on the diabetes data")
        return self


class Sigmoid(Section):
    """Where the sigmoid and its derivative are looked at."""

    traced_at: Annotated[float, Field(ge=-100, le=100)]  # where exp(−x) is finite
    largest_x: Annotated[float, Field(gt=100, le=1e6)]


class LearningRate(Section):
    """The learning rates at which linear regression is tried, as multiples of 2/λmax."""

    rates: Annotated[list[Positive], Field(min_length=2)]
    batch_size: Count
    epochs: Count


class Broadcasting(Section):
    """How the slipped loss is descended; the rate is a multiple of 2/λmax."""

    rate: Annotated[float, Field(gt=0, lt=1)]
    steps: Count


class Theory(Section):
    """What the theory is shown with."""

    parametrised_relu: ParametrisedReLU
    sigmoid: Sigmoid
    learning_rate: LearningRate
    broadcasting: Broadcasting


class _Runs(dict[str, Run]):
    """Runs by name, with an error that helps when there is none of that name."""

    def __missing__(self, name: str) -> Run:
        raise ParamsError(f"params.yaml: train has no run {name!r}; it has {', '.join(self)}")


class Params(Section):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(gt=0, le=1024)]
    data: Data
    evaluation: Evaluation
    train: dict[RunName, Run]
    attack: Attack
    theory: Theory

    @field_validator("train", mode="after")
    @classmethod
    def _named(cls, runs: dict[str, Run]) -> dict[str, Run]:
        if not runs:
            raise ValueError("one run is needed, at least")
        return _Runs(runs)

    @model_validator(mode="after")
    def _attacks_classifiers(self) -> "Params":
        for name in self.attack.runs:
            if name not in self.train:
                raise ValueError(f"attack.runs names {name!r}, which is not under train")
            if self.train[name].data != "images":
                raise ValueError(f"attack.runs names {name!r}, which does not classify images")
            if self.attack.runs.count(name) > 1:
                raise ValueError(f"attack.runs names {name!r} twice")
        return self


_MOST_MISTAKES = 20


def load_params(path: Path) -> Params:
    """Read and check the parameters.

    Raises:
        ParamsError: The file cannot be read or any key of it is wrong; the message has a line for each
            mistake, `FILE:LINE:COLUMN: KEY: what was expected`.
    """
    tree, values = read_yaml(path)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(explained(path, tree, error))) from error


def explained(path: Path, tree: Node, error: ValidationError) -> Iterable[str]:
    """Turn pydantic's errors into lines with the position and the dotted name of the key."""
    mistakes = error.errors(include_url=False)
    missing = [mistake["loc"] for mistake in mistakes if mistake["type"] == "missing"]
    for mistake in mistakes[:_MOST_MISTAKES]:
        node, names = _located(tree, mistake["loc"])
        message, given = mistake["msg"].removeprefix("Value error, "), mistake["input"]
        if mistake["type"] == "extra_forbidden":
            message = "no such parameter"
            siblings = [str(loc[-1]) for loc in missing if loc[:-1] == mistake["loc"][:-1]]
            if close := get_close_matches(str(mistake["loc"][-1]), siblings, n=1):
                message += f"; did you mean {close[0]}?"
        elif mistake["type"] == "missing":
            message = "this parameter is missing"
        elif mistake["type"] == "union_tag_not_found":
            message = "the key kind is missing"
        elif mistake["type"] in ("model_type", "model_attributes_type", "dict_type"):
            message = f"expected keys and values, found {type(given).__name__}"
        elif isinstance(given, str | int | float | None):
            message += f" (got {given!r})"
        # A mistake between two sections says in its message where it lies.
        place = f"{position(node.start_mark)}: {one_line('.'.join(names))}" if names else ""
        yield f"{path}{place}: {one_line(message)}"
    if len(mistakes) > _MOST_MISTAKES:
        yield f"{path}: and {len(mistakes) - _MOST_MISTAKES:,} mistakes more"


def _located(tree: Node, location: tuple[int | str, ...]) -> tuple[Node, list[str]]:
    """Walk down the YAML nodes along `location`; what the file does not have (a union's tag) is passed over."""
    if location[-1:] == ("[key]",):  # the key itself is meant
        location = location[:-1]
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
        elif last == 0:
            names.append(str(part))
    return node, names
