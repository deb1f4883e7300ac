"""The published image sets: title, licence, classes and hashes of their four files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from descent.io.files import sha256

FASHION_MNIST = "fashion-mnist"
# The other values of `source`.
DRAWN, FOLDER = "drawn", "folder"
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
OTHERS = "images.safetensors"  # all that is not published: images, labels and the names of their classes


class ImageSet(NamedTuple):
    """A published set: 28×28 grey pixels, light on black, 60,000 images to train on and 10,000 to test."""

    title: str
    credit: str  # authors and licence
    folder: str  # below the root of torchvision's data sets; in its subfolder `raw` are the four files
    license: str  # the identifier of that licence on Hugging Face's hub
    hub: str | None  # its name on Hugging Face's hub
    classes: tuple[str, ...]
    sha256: Mapping[str, str]  # of the four files, as published by TensorFlow Datasets and others


PUBLISHED: Mapping[str, ImageSet] = {
    FASHION_MNIST: ImageSet(
        title="Fashion-MNIST",
        credit="Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747; © 2017 Zalando SE, MIT licence",
        folder="FashionMNIST",
        license="mit",
        hub="zalando-datasets/fashion_mnist",
        classes=GARMENTS,
        sha256={
            "train_images": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train_labels": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "test_images": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "test_labels": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "mnist": ImageSet(
        title="MNIST",
        credit="LeCun, Cortes & Burges, The MNIST database of handwritten digits; CC BY-SA 3.0",
        folder="MNIST",
        license="cc-by-sa-3.0",
        hub="ylecun/mnist",
        classes=tuple("0123456789"),
        sha256={
            "train_images": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train_labels": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "test_images": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "test_labels": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "kmnist": ImageSet(
        title="Kuzushiji-MNIST",
        credit="Clanuwat et al. 2018, arXiv:1812.01718; KMNIST Dataset (created by CODH), adapted from Kuzushiji "
        "Dataset (created by NIJL and others), doi:10.20676/00000341, CC BY-SA 4.0",
        folder="KMNIST",
        license="cc-by-sa-4.0",
        hub=None,
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        sha256={
            "train_images": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "train_labels": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "test_images": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "test_labels": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        },
    ),
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
    if source != FASHION_MNIST:
        shown = title(source)
        return f"{shown[0].upper()}{shown[1:]}, not Fashion-MNIST: the write-up's claims about images are not judged."
    return None
