"""A classifier in a file of its own: weights, architecture and number of classes."""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from torch import nn

from descent.io.errors import DataError
from descent.io.run_schema import Model
from descent.io.tensors import load_tensors, save_tensors
from descent.models.networks import load_model


class Architecture(BaseModel):
    """The architecture and the number of classes, as in the metadata of the file."""

    spec: Model = Field(discriminator="kind")
    classes: int = Field(gt=0)


def save_classifier(path: Path, model: nn.Module, spec: Model, classes: int) -> None:
    """Write a model that `spec` describes, so that no other file is needed to load it."""
    described = Architecture(spec=spec, classes=classes)
    save_tensors(path, model.state_dict(), {"classifier": described.model_dump_json()})


def load_classifier(path: Path, inputs: tuple[int, ...]) -> nn.Sequential:
    """Read what `save_classifier` wrote, in evaluation mode; `inputs` is the shape of an image.

    Raises:
        DataError: The file is missing or damaged, or does not describe its weights.
    """
    _, metadata = load_tensors(path)
    try:
        described = Architecture.model_validate_json(metadata.get("classifier", ""))
    except ValidationError as error:
        raise DataError(f"{path}: does not say what classifier it holds; `dvc repro --force` makes it anew") from error
    return load_model(path, described.spec, inputs, described.classes)
