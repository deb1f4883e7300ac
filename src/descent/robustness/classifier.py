"""A classifier in a file of its own: weights, architecture and number of classes."""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from torch import nn

from descent.io.errors import DataError
from descent.io.run_schema import Model
from descent.io.tensors import load_tensors, save_tensors
from descent.models.networks import load_model

# The only key of the file's metadata.
KEY = "classifier"


class Architecture(BaseModel):
    """The architecture and the number of classes, as in the metadata of the file."""

    spec: Model = Field(discriminator="kind")
    classes: int = Field(gt=0)


def save_classifier(path: Path, model: nn.Module, spec: Model, classes: int) -> str:
    """Write a model that `spec` describes, so that no other file is needed to load it.

    Returns:
        The SHA-256 of the file.
    """
    described = Architecture(spec=spec, classes=classes)
    return save_tensors(path, model.state_dict(), {KEY: described.model_dump_json()})


def load_classifier(path: Path, inputs: tuple[int, ...], digest: str | None = None) -> nn.Sequential:
    """Read what `save_classifier` wrote, in evaluation mode; `inputs` is the shape of an image.

    Raises:
        DataError: The file is missing or damaged, its SHA-256 is not `digest`, or it does not describe its weights.
    """
    _, metadata = load_tensors(path, digest)
    try:
        described = Architecture.model_validate_json(metadata.get(KEY, ""))
    except ValidationError as error:
        raise DataError(f"{path}: does not say what classifier it holds; `dvc repro --force` makes it anew") from error
    return load_model(path, described.spec, inputs, described.classes, digest)
