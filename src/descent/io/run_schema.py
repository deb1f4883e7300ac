"""The parameters of a training run and of its evaluation, as frozen and strictly checked types."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

# The upper bounds are far above useful values, and within the range of integers and float32 in torch.
Count = Annotated[int, Field(gt=0, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Width = Annotated[int, Field(gt=0, le=10_000)]
Widths = Annotated[list[Width], Field(max_length=10)]
Size = Annotated[int, Field(gt=0, le=100)]


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


class Convolution(Section):
    """One convolution; its padding is of zeros, and `max_pool` 1 pools nothing."""

    filters: Width
    kernel_size: Size
    stride: Size
    padding: Annotated[int, Field(ge=0, le=100)]
    max_pool: Size


class ConvNet(Section):
    """Convolutions, each followed by max-pooling, batch normalisation and ReLU, then linear layers."""

    kind: Literal["convnet"]
    convolutions: Annotated[list[Convolution], Field(min_length=1, max_length=10)]
    batch_norm: bool
    hidden: Widths


Model = Linear | MLP | ConvNet
Epsilon = Annotated[float, Field(gt=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]


class FGSM(Section):
    """Each training batch is attacked by one step from a random start; in units of pixels from 0 to 1."""

    kind: Literal["fgsm"]
    epsilon: Epsilon
    step: Positive


class IntervalBounds(Section):
    """A share of each batch is learned from by the worst logits that interval bounds around its images admit."""

    kind: Literal["interval-bounds"]
    epsilon: Epsilon
    ramp: BelowOne  # share of the steps in which ε and `share` rise from 0
    share: Annotated[float, Field(gt=0, le=1)]  # of each batch; the rest is learned from as it is


def _adversary(value: object) -> str | None:
    """Return the kind of an adversary; None where it has none."""
    if value == "none":
        return "none"
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) else None


class Run(Section):
    """One training run."""

    data: Literal["diabetes", "images"]
    model: Model = Field(discriminator="kind")
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: BelowOne  # of sgd
    learning_rate: Positive
    warm_up: BelowOne  # share of the steps in which the learning rate rises from 0
    schedule: Literal["constant", "linear"]
    weight_decay: Annotated[float, Field(ge=0, le=1e6)]
    reduction: Literal["sum", "mean"]
    label_smoothing: BelowOne
    horizontal_flips: bool
    batch_size: Count
    epochs: Count
    adversary: Annotated[
        Annotated[Literal["none"], Tag("none")]
        | Annotated[FGSM, Tag("fgsm")]
        | Annotated[IntervalBounds, Tag("interval-bounds")],
        Discriminator(
            _adversary,
            custom_error_type="adversary",
            custom_error_message="expected none, or keys with kind: fgsm or kind: interval-bounds",
        ),
    ]

    @model_validator(mode="after")
    def _fits(self) -> "Run":
        if self.data == "diabetes" and self.model.kind == "convnet":
            raise ValueError("the diabetes data has no images for a convnet; take linear or mlp")
        if self.data == "diabetes" and (self.adversary != "none" or self.label_smoothing or self.horizontal_flips):
            raise ValueError("adversary, label_smoothing and horizontal_flips are for images, not the diabetes data")
        if isinstance(self.adversary, IntervalBounds):
            if getattr(self.model, "batch_norm", False):
                raise ValueError("interval-bounds cannot bound what batch_norm makes of a batch; leave out one")
            if self.label_smoothing:
                raise ValueError("with label_smoothing the loss of interval-bounds is no upper bound; leave out one")
            if round(self.adversary.share * self.batch_size) == 0:
                raise ValueError(f"a share of {self.adversary.share:g} of a batch of {self.batch_size} is no image")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is for sgd; {self.optimizer} has its own")
        return self
