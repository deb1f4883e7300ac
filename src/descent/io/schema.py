"""All parameters of `params.yaml`, as frozen and strictly checked types."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from descent.io.errors import ParamsError
from descent.io.run_schema import Count, Epsilon, Evaluation, Positive, Run, Section

Share = Annotated[float, Field(gt=0, lt=1)]


def _name(text: str) -> str:
    """Refuse what a table or YAML reads as something else than a name: 10, 1e5, inf, nan, null, true."""
    if re.fullmatch(r"\d+(e-?\d+)?|inf|infinity|nan|null|true|false", text):
        raise PydanticCustomError("name", "a run needs a name that is not a number, null, true or false")
    return text


def _distinct(values: list[Any]) -> list[Any]:
    saved = {f"{value:.6g}" if isinstance(value, float) else repr(value) for value in values}  # as by `save_table`
    if len(saved) < len(values):
        raise ValueError("the same value twice, to six digits")
    return values


def _increasing(epsilons: list[float]) -> list[float]:
    named = [float(f"{epsilon:g}") for epsilon in epsilons]  # as in the names of metrics
    if named != sorted(set(named)):
        raise ValueError("must increase from each value to the next, to six digits")
    return epsilons


# A run's name becomes a file name, a word of a shell command and a key that DVC splits at dots.
RunName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64), AfterValidator(_name)]
Distinct = AfterValidator(_distinct)
RunNames = Annotated[list[RunName], Field(min_length=1), Distinct]
Epsilons = Annotated[list[Annotated[float, Field(ge=0, le=1)]], AfterValidator(_increasing)]


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


class PGD(Section):
    """How projected gradient descent is applied."""

    images: Count
    epsilons: Annotated[list[Epsilon], Field(min_length=1), AfterValidator(_increasing)]
    steps: Count
    step: Positive
    restarts: Count


class Bench(Section):
    """How a classifier is attacked; every ε is in units of pixels from 0 to 1."""

    epsilons: Annotated[Epsilons, Field(min_length=2)]
    small_epsilons: Annotated[list[Epsilon], AfterValidator(_increasing)]
    tolerance: Annotated[float, Field(gt=0, le=0.1)]
    slider_stop: Epsilon
    slider_steps: Annotated[int, Field(gt=0, le=1000)]
    bag_confidence: Share
    pgd: PGD
    epsilon: Epsilon
    write_up_epsilon: Positive

    @model_validator(mode="after")
    def _holds_each_epsilon(self) -> "Bench":
        if self.epsilons[0] != 0 or not {self.epsilon, *self.pgd.epsilons} <= set(self.epsilons):
            raise ValueError("epsilons must begin with 0.0, and hold epsilon and all of pgd.epsilons")
        if self.epsilon not in self.pgd.epsilons:
            raise ValueError("pgd.epsilons must hold epsilon")
        every = {*self.small_epsilons, *self.epsilons}
        if len({f"{epsilon:g}" for epsilon in every}) < len(every):
            raise ValueError("each of small_epsilons must differ from each of epsilons in the first six digits")
        return self


class Attack(Section):
    """Which runs are attacked, and how."""

    runs: RunNames
    bench: Bench


class ReLUComparison(Section):
    """How the parametrised ReLU is compared with the ordinary one."""

    networks: Count
    image_size: Annotated[int, Field(ge=5, le=1000)]
    seeds: Annotated[int, Field(ge=2, le=1000)]
    run: Run

    @model_validator(mode="after")
    def _trains_an_mlp(self) -> "ReLUComparison":
        if self.run.data != "diabetes" or self.run.model.kind != "mlp":
            raise ValueError("run must train an mlp on the diabetes data")
        return self


class Sigmoid(Section):
    """Where the sigmoid and its derivative are evaluated."""

    traced_at: Annotated[float, Field(ge=-100, le=100)]  # where exp(−x) is finite
    largest_x: Annotated[float, Field(gt=100, le=1e6)]


class LearningRate(Section):
    """The learning rates at which linear regression is tried, as multiples of 2/λmax."""

    rates: Annotated[list[Positive], Field(min_length=2)]
    batch_size: Count
    epochs: Count


class Broadcasting(Section):
    """How the slipped loss is descended; the rate is a multiple of 2/λmax."""

    rate: Share
    steps: Count


class Theory(Section):
    """Settings of the stage `theory`."""

    parametrised_relu: ReLUComparison
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
    train: Annotated[dict[RunName, Run], Field(min_length=1), AfterValidator(_Runs)]
    attack: Attack
    theory: Theory

    @model_validator(mode="after")
    def _attacks_classifiers(self) -> "Params":
        for name in self.attack.runs:
            if name not in self.train:
                raise ValueError(f"attack.runs names {name!r}, which is not under train")
            if self.train[name].data != "images":
                raise ValueError(f"attack.runs names {name!r}, which does not classify images")
        return self
