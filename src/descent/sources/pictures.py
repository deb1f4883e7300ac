"""Read the user's own images: a folder of PNG files for each class, in `train` and in `test`."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image
from torch import Tensor

from descent.io.errors import DataError

PARTS = ("train", "test")
# The sizes for which every model of params.yaml can be built, and every figure and page stays small.
SIDES = range(10, 65)
# One class leaves nothing to classify; figures of more than 50 are illegible.
CLASSES = range(2, 51)
# A class is a column of tables and a label in figures, where a dollar begins a formula and long labels do not fit.
NAME, LONGEST = re.compile(r"(?![ .])[\w .,'()&-]+(?<! )"), 20
RESERVED = ("series", "epsilon", "true")
# The limit of `descent.sources.idx`, which reads the images later.
MOST_BYTES = 2**26
# Of a PNG file: signature and header, up to the number of bits of each value.
SIGNATURE, HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 25


def read_folder(
    folder: Path, hashed: Collection[Path] | None = None
) -> tuple[dict[str, UInt8[Tensor, "..."]], list[str]]:
    """Read the PNG files `PART/CLASS/*.png` of both parts, in the order of their names, as grey.

    Args:
        folder: Has `train` and `test`, and these the same folders, each named after a class.
        hashed: The files that DVC hashes; None stands for all. Every image must be among them; other files are
            ignored if they are not.

    Returns:
        `train_images`, `test_images` (n × height × width, 0 black to 255 white), `train_labels`, `test_labels` (n);
        and the names of the classes, sorted, which the labels count.

    Raises:
        DataError: There is no such folder, or it is a link; classes differ between the parts, are fewer than 2 or
            more than 50; a class has no image, or a name that tables or figures cannot show; a file is not an opaque
            PNG of 8 bits, or has another size than the first; images are too small, too large, more than 64 MiB of
            pixels, or all identical.
    """
    classes = [_class_names(_no_link(_no_link(folder) / part)) for part in PARTS]
    if only := set(classes[0]) ^ set(classes[1]):
        raise DataError(f"{folder}: train and test differ in classes: {', '.join(sorted(only))} only in one of them")
    if len(classes[0]) not in CLASSES:
        raise DataError(
            f"{folder / 'train'}: {len(classes[0])} folders; as many classes as {CLASSES[0]} to {CLASSES[-1]}"
        )
    tensors, size = {}, None
    for part in PARTS:
        images, labels = list[UInt8[np.ndarray, "height width"]](), list[int]()
        for label, name in enumerate(classes[0]):
            for path in _pictures(folder / part / name, hashed):
                images.append(_grey(path, size))
                size = size or images[0].shape
                labels.append(label)
                if len(images) * images[0].size > MOST_BYTES:
                    raise DataError(
                        f"{folder / part}: more than {MOST_BYTES:,} pixels in all; take fewer or smaller images"
                    )
        tensors[f"{part}_images"] = torch.from_numpy(_stacked(folder / part, images))
        tensors[f"{part}_labels"] = torch.tensor(labels, dtype=torch.uint8)
    return tensors, classes[0]


def in_random_order(tensors: Mapping[str, UInt8[Tensor, "..."]], seed: int) -> dict[str, UInt8[Tensor, "..."]]:
    """Put the images of each part, and their labels, in random order.

    Curves and PGD use the first images only, which would otherwise belong to the first classes.
    """
    rng, mixed = torch.Generator().manual_seed(seed), dict[str, UInt8[Tensor, "..."]]()
    for part in PARTS:
        order = torch.randperm(len(tensors[f"{part}_labels"]), generator=rng)
        mixed |= {name: tensors[name][order] for name in (f"{part}_images", f"{part}_labels")}
    return mixed


def _no_link(folder: Path) -> Path:
    """Refuse a link to a folder: DVC does not look into it."""
    if folder.is_symlink():
        raise DataError(f"{folder}: a link, and DVC would not notice a change behind it; move the folder itself here")
    return folder


def _class_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; in it is one for each class, with its images as PNG. A queued experiment and "
            "another clone have it only after `dvc add images/train images/test` (docs/data.md)"
        )
    paths = sorted(folder.iterdir())
    if loose := [path for path in paths if _is_picture_name(path) and not path.is_dir()]:
        raise DataError(f"{_path_text(loose[0])}: a picture outside a class; move it into the folder of its class")
    folders = [_no_link(path) for path in paths if path.is_dir()]
    cmap = _printable() if any(not path.name.isascii() for path in folders) else ()
    for path in folders:
        if fault := _name_fault(path.name, cmap):
            raise DataError(f"{_path_text(path)}: no name for a class: {fault}; rename the folder in train and test")
    return [path.name for path in folders]


def _name_fault(name: str, cmap: Collection[int]) -> str | None:
    """Return why a class cannot have this name, None if it can."""
    if name in RESERVED:
        return f"{', '.join(RESERVED)} are columns of tables"
    if len(name) > LONGEST:
        return f"{len(name)} characters; {LONGEST} at most"
    if not unicodedata.is_normalized("NFC", name):
        return "a letter and its accent are two characters; one is taken (Unicode's form NFC)"
    if not NAME.fullmatch(name):
        return "letters, digits, spaces and -_.,'()& are taken, no dot or space first, no space last"
    if unknown := [letter for letter in name if not letter.isascii() and ord(letter) not in cmap]:
        return f"the figures' font, DejaVu Sans, has no {unknown[0]}"
    return None


def _printable() -> Collection[int]:
    """Return the characters that the font of the figures has."""
    # Imported here because most names are ASCII and do not need it.
    import matplotlib
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))).get_charmap()


def _pictures(folder: Path, hashed: Collection[Path] | None) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        picture = _is_picture_name(path)
        if hashed is None or path in hashed:
            if not picture:
                raise DataError(
                    f"{_path_text(path)}: no PNG file; a picture's name ends in .png and begins without a dot"
                )
            found.append(path)
        elif picture or path.is_dir():
            raise DataError(
                f"{_path_text(path)}: DVC would not notice a change of it: a folder, a link to nothing, or named in a "
                ".dvcignore; move it away"
            )
    if not found:
        raise DataError(f"{folder}: no image")
    return found


def _is_picture_name(path: Path) -> bool:
    """Return whether a file name is that of an image; auxiliary files of programs begin with a dot."""
    return path.suffix.lower() == ".png" and not path.name.startswith(".")


def _grey(path: Path, size: tuple[int, ...] | None) -> UInt8[np.ndarray, "height width"]:
    if not path.is_file():  # reading a pipe would block
        raise DataError(f"{_path_text(path)}: not a file; move it away")
    shape = _shape(path)
    if size is not None and shape != size:
        raise DataError(f"{_path_text(path)}: {_size_text(shape)} pixels, where the first image has {_size_text(size)}")
    if not all(side in SIDES for side in shape):
        raise DataError(f"{_path_text(path)}: {_size_text(shape)} pixels; a side has {SIDES[0]} to {SIDES[-1]}")
    try:
        # Pillow's warnings are errors here.
        with catch_warnings(action="error", category=UserWarning), Image.open(path, formats=["PNG"]) as picture:
            picture.load()
            if picture.has_transparency_data:
                pixels = picture.convert("RGBA")
                if pixels.getchannel("A").getextrema() != (255, 255):
                    raise DataError(f"{_path_text(path)}: has transparent pixels; flatten it on black first")
            else:
                pixels = picture
            if getattr(picture, "is_animated", False):
                raise DataError(f"{_path_text(path)}: an animation; save one picture of it")
            if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                raise DataError(f"{_path_text(path)}: to be turned, as its EXIF data says; save it as it is to be seen")
            grey = np.asarray(pixels.convert("L"))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow raises many types, such as AssertionError and struct.error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{_path_text(path)}: not a whole PNG file ({reason})") from error
    if grey.shape != shape:
        raise DataError(f"{_path_text(path)}: not a whole PNG file (it has two sizes)")
    return grey


def _shape(path: Path) -> tuple[int, int]:
    """Read height and width of a picture without decompressing it."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{_path_text(path)}: {error.strerror}") from error
    if len(head) < HEADER or not head.startswith(SIGNATURE):
        raise DataError(f"{_path_text(path)}: no PNG file")
    width, height, bits = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), head[24]
    if bits > 8:
        raise DataError(f"{_path_text(path)}: {bits} bits for each value of a pixel; save it with 8")
    return height, width


def _stacked(folder: Path, images: Sequence[UInt8[np.ndarray, "height width"]]) -> UInt8[np.ndarray, "n height width"]:
    """Stack the images of a part; refuse identical and single-coloured ones."""
    stack = np.stack(images)
    if (stack == stack[0]).all():
        raise DataError(f"{folder}: all pictures are identical; nothing can be learned from them")
    if (stack == stack[:, :1, :1]).all():
        raise DataError(
            f"{folder}: every picture is of one colour; what they should show was lost when they were saved"
        )
    return stack


def _size_text(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))


def _path_text(path: Path) -> str:
    """Return a path as one printable line."""
    return str(path) if str(path).isprintable() else ascii(str(path))
