"""Obtain images and labels: published, from a folder of images, or synthetic."""

import json
import logging
import os.path
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from descent.io.errors import DataError, DownloadError
from descent.io.layout import SOURCE
from descent.io.schema import Drawn, PublishedImages
from descent.sources.published import DRAWN, FASHION_CLASSES, FASHION_MNIST, FILES, FOLDER, OTHERS, PUBLISHED, lacking

log = logging.getLogger(__name__)


class ImageSettings(NamedTuple):
    """The parameters under `data` of params.yaml that decide on the images."""

    images: PublishedImages | Literal["folder"]
    mirrors: Mapping[PublishedImages, Sequence[str]]
    fallback: Literal["drawn", "none"]
    drawn: Drawn


def obtain_images(
    data: ImageSettings,
    seed: int,
    raw: Path,
    pictures: Path,
    own_mirror: str | None,
    progress: Callable[[str, str], AbstractContextManager[Any]],
) -> dict[str, str]:
    """Put images and labels into a folder; verified files stay there, and those of another source are removed.

    Args:
        data: Which images, from which mirrors, and whether synthetic garments may take the place of Fashion-MNIST.
        seed: Of synthetic garments, and of the order of the user's own images.
        raw: The folder.
        pictures: The folder with the user's own images.
        own_mirror: A folder or an address to be asked first.
        progress: Returns a progress bar for a file and a unit.

    Returns:
        `source`, for `descent.sources.published.title`, and, of images that are not published, `sha256`.

    Raises:
        DataError: `raw` is a link, or has other files, or an image of the folder is invalid.
        DownloadError: A file was not downloaded, and synthetic garments are not allowed.
    """
    check_no_other_files(raw)
    if data.images != "folder":
        try:
            fetch_published(data.images, data.mirrors.get(data.images, []), raw, own_mirror, progress)
            (raw / OTHERS).unlink(missing_ok=True)
            return {"source": data.images}
        except DownloadError as error:
            if remedy := why_not_synthetic(data, raw, own_mirror):
                raise DownloadError(f"{error}\n  {remedy}.") from error
        log.warning(
            "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
            "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
        )
    # Imported here, and below, because they take seconds, and a stage without them starts at once.
    from descent.io.tensors import save_tensors
    from descent.sources.garments import draw_garments
    from descent.sources.pictures import read_folder

    if data.images == "folder":
        source, (tensors, classes) = FOLDER, read_folder(pictures, seed)
    else:
        source, tensors, classes = DRAWN, draw_garments(data.drawn.train, data.drawn.test, seed), [*FASHION_CLASSES]
    digest = save_tensors(raw / OTHERS, tensors, {"classes": json.dumps(classes)})
    for file in FILES.values():
        (raw / file).unlink(missing_ok=True)
    return {"source": source, "sha256": digest}


def check_no_other_files(raw: Path) -> None:
    """Check that the output folder has only files of this stage: `dvc checkout` would delete the user's own."""
    if raw.is_symlink():
        raise DataError(
            f"{raw} is a link, and this stage writes there; remove it, and name its folder in DESCENT_MIRROR"
        )
    names = {path.name for path in raw.iterdir() if not path.name.startswith(".")} if raw.is_dir() else set()
    if others := sorted(names - {SOURCE.name, OTHERS, *FILES.values()}):
        raise DataError(f"{raw / others[0]}: no file of this stage; move it elsewhere")


def fetch_published(
    name: str, mirrors: Sequence[str], raw: Path, own_mirror: str | None, progress: Callable[..., Any]
) -> None:
    """Download the files of a published set that are missing or wrong."""
    if own_mirror:
        below = Path(os.path.expanduser(own_mirror), PUBLISHED[name].folder, "raw")  # of torchvision's root
        mirrors = [*([str(below)] if below.is_dir() else []), own_mirror, *mirrors]
    if missing := lacking(raw, name):
        from descent.sources.download import fetch

        for file, digest in missing.items():
            with progress(file, "B") as bar:
                fetch(file, digest, mirrors, raw, bar)


def why_not_synthetic(data: ImageSettings, raw: Path, own_mirror: str | None) -> str | None:
    """Return the remedy where synthetic garments are not allowed: the user named a mirror, or has a published file."""
    hint = f"Set DESCENT_MIRROR to a folder or address that has the files {', '.join(FILES.values())}"
    kept = FILES.values() - lacking(raw, data.images).keys()
    if data.images != FASHION_MNIST:
        return f"{hint}; the synthetic fallback exists for Fashion-MNIST only"
    if data.fallback == "none":
        return f"{hint}, or let data.fallback in params.yaml be `drawn`"
    if own_mirror:
        return f"{hint}, or to torchvision's root; garments are drawn only where it is not set"
    if kept:
        return f"{hint}, or try again later; {', '.join(sorted(kept))} in {raw} stays there"
    return None
