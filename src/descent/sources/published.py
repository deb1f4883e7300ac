"""The published image sets: title, licence, classes and hashes of their four files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from descent.io.files import sha256

FASHION_MNIST = "fashion-mnist"
# The other values of `source`.
DRAWN, FOLDER = "drawn", "folder"

FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
OTHERS = "images.safetensors"  # all that is not published: images, labels and the names of their classes


class ImageSet(NamedTuple):
    """A published set, as `published.yaml` describes it; `sha256` is by the keys of `FILES`."""

    title: str
    credit: str
    folder: str
    license: str
    hub: str | None
    classes: Sequence[str]
    sha256: Mapping[str, str]


PUBLISHED: Mapping[str, ImageSet] = {
    name: ImageSet(**words) for name, words in YAML(typ="safe").load(Path(__file__).with_suffix(".yaml")).items()
}
FASHION_CLASSES = PUBLISHED[FASHION_MNIST].classes


def lacking(folder: Path, name: str) -> dict[str, str]:
    """Return name and SHA-256 of each file of a published set that is missing in a folder, or wrong there."""
    paths = {folder / FILES[part]: digest for part, digest in PUBLISHED[name].sha256.items()}
    return {path.name: digest for path, digest in paths.items() if not path.is_file() or sha256(path) != digest}


def title(source: str) -> str:
    """Return the title of the images of a source, as in `metrics/data.json`."""
    if source == DRAWN:
        return "drawn garments, not Fashion-MNIST"
    return PUBLISHED[source].title if source in PUBLISHED else "images of a folder"


def warning(source: str) -> str | None:
    """Return the warning to show with results on other images than the write-up's; None for Fashion-MNIST."""
    if source == DRAWN:
        return (
            "Drawn stand-in data, not Fashion-MNIST: no mirror delivered the images, so the pipeline drew garments "
            "of its own. The numbers say nothing about the write-up."
        )
    shown = f"{title(source)[0].upper()}{title(source)[1:]}"
    unjudged = f"{shown}, not Fashion-MNIST: the write-up's claims about images are not judged."
    return None if source == FASHION_MNIST else unjudged
