"""What every measurement starts from: the parameters, the images and the weights of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from descent.io.datasets import Dataset, load_dataset
from descent.io.layout import PARAMS, RunFiles, dataset
from descent.io.params import load_params
from descent.io.run_schema import Run
from descent.io.schema import Params
from descent.io.tensors import load_tensors
from descent.models.networks import build_model, load_model
from descent.sources.published import FASHION_CLASSES, FILES

OURS = "ours"


def params() -> Params:
    """Read params.yaml."""
    return load_params(PARAMS)


def images() -> Dataset:
    """Read the images that `prepare` wrote."""
    return load_dataset(dataset("images"))


def fresh(run: Run, seed: int = 0) -> nn.Sequential:
    """Make a classifier with fresh weights."""
    return build_model(run.model, (1, 28, 28), len(FASHION_CLASSES), seed)


def trained(name: str) -> nn.Sequential:
    """Read a classifier that `train` wrote."""
    return load_model(RunFiles(name).weights, params().train[name].model, (1, 28, 28), len(FASHION_CLASSES))


@contextmanager
def torchvision_folder() -> Iterator[Path]:
    """Write the prepared images as torchvision's FashionMNIST keeps them, in a folder that is gone afterwards."""
    with TemporaryDirectory() as root:
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for part, tensor in load_tensors(dataset("images"))[0].items():
            sizes = b"".join(size.to_bytes(4, "big") for size in tensor.shape)
            head = bytes([0, 0, 8, tensor.ndim]) + sizes  # of an IDX file of bytes
            (raw / Path(FILES[part]).stem).write_bytes(head + tensor.numpy().tobytes())
        yield Path(root)
