"""The parameters of a training run and of its evaluation, as frozen and strictly checked types."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

# The upper bounds are far above useful values, and within the range of integers and float32 in torch.
Count = Annotated[int, Field(gt=0, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Widths = Annotated[list[Annotated[int, Field(gt=0, le=10_000)]], Field(max_length=10)]


class Section(BaseModel):
    """Keys and values, strictly checked and never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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
