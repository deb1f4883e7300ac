"""Obtain the four files of images and labels: published, from a folder of images, or synthetic."""

import logging
import os.path
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple

from descent.io.errors import DataError, DownloadError
from descent.io.layout import SOURCE
from descent.io.schema import Drawn, PublishedImages
from descent.sources.download import Progress, fetch, holds, restored
from descent.sources.published import DRAWN, FASHION_MNIST, FILES, FOLDER, PUBLISHED

log = logging.getLogger(__name__)


class ImageSettings(NamedTuple):
    """The parameters under `data` of params.yaml that decide on the images."""

    images: PublishedImages | Literal["folder"]
    mirrors: Mapping[PublishedImages, Sequence[str]]
    fallback: Literal["drawn", "none"]
    drawn: Drawn


class Surroundings(NamedTuple):
    """Settings and functions that depend on the user's machine and on DVC."""

    own_mirror: str | None  # a folder or an address; DESCENT_MIRROR
    cache_folder: Callable[[], Path | None]  # of DVC, which names files by their MD5
    hashed_files: Callable[[Path], set[Path]]  # the files of a folder that DVC hashes
    progress_bar: Callable[[str], AbstractContextManager[Progress]]  # of the download of a file


def obtain_images(
    settings: ImageSettings, seed: int, raw: Path, pictures: Path, surroundings: Surroundings
) -> tuple[str, list[str]]:
    """Put the four files of images and labels into a folder.

    If no mirror delivers Fashion-MNIST, the files are synthetic garments, provided that `data.fallback` allows it.

    Args:
        settings: Which images, from which mirrors, and the fallback.
        seed: Of synthetic garments, and of the random order of the user's own images.
        raw: The folder for the files.
        pictures: The folder with the user's own images.
        surroundings: The user's mirror, DVC's cache and hashed files, and the progress bar.

    Returns:
        The source, for `descent.sources.published.title`, and the names of the classes.

    Raises:
        DataError: `raw` has other files, or an image of the folder is invalid.
        DownloadError: A file was not downloaded, and synthetic garments are not allowed.
    """
    check_no_other_files(raw, surroundings.hashed_files)
    name = settings.images
    if name == "folder":
        return FOLDER, pack(pictures, surroundings.hashed_files(pictures), raw, seed)
    source: str = name
    try:
        fetch_published(name, settings.mirrors.get(name, []), raw, surroundings)
    except DownloadError as error:
        if remedy := why_not_synthetic(name, settings.fallback, raw, surroundings.own_mirror):
            raise DownloadError(f"{error}\n  {remedy}.") from error
        log.warning(
            "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
            "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
        )
        write_synthetic_garments(settings.drawn, raw, seed)
        source = DRAWN
    return source, list(PUBLISHED[name].classes)


def check_no_other_files(raw: Path, hashed_files: Callable[[Path], set[Path]]) -> None:
    """Check that the output folder has only files of this stage; others may be the only copy, so none is deleted.

    Raises:
        DataError: The folder is a link, or has other files, which DVC would hash with it.
    """
    if raw.is_symlink():
        raise DataError(
            f"{raw} is a link, and this stage writes there; remove it, and name its folder in DESCENT_MIRROR"
        )
    allowed = {raw / name for name in (SOURCE.name, *FILES.values())}
    if not raw.is_dir() or {*raw.iterdir()} <= allowed:
        return
    if others := sorted(hashed_files(raw.resolve()) - {path.resolve() for path in allowed}):
        raise DataError(f"{others[0]}: no file of this stage; move it elsewhere")


def fetch_published(name: str, mirrors: Sequence[str], raw: Path, surroundings: Surroundings) -> None:
    """Keep the verified files of a published set; restore the others from DVC's cache, or download them."""
    published = PUBLISHED[name]
    missing = {part: file for part, file in FILES.items() if not holds(raw / file, published.sha256[part])}
    cache = surroundings.cache_folder() if missing else None
    mirrors = [*own_mirrors(surroundings.own_mirror, published.folder), *mirrors]
    for part, file in missing.items():
        md5, sha256 = published.md5[part], published.sha256[part]
        if cache and restored(raw / file, cache / md5[:2] / md5[2:], sha256):
            continue
        with surroundings.progress_bar(file) as progress:
            fetch(file, sha256, mirrors, raw, progress=progress)


def own_mirrors(own: str | None, folder: str) -> list[str]:
    """Return the user's mirror; if it is torchvision's root folder, the folder of the data set comes first."""
    if not own:
        return []
    below = Path(os.path.expanduser(own), folder, "raw")
    return [str(below), own] if below.is_dir() else [own]


def why_not_synthetic(name: str, fallback: str, raw: Path, own_mirror: str | None) -> str | None:
    """Return the remedy where synthetic garments are not allowed, None where they are.

    They are allowed only if the user named no mirror and has none of the published files.
    """
    hint = f"Set DESCENT_MIRROR to a folder or address that has the files {', '.join(FILES.values())}"
    kept = [file for part, file in FILES.items() if holds(raw / file, PUBLISHED[name].sha256[part])]
    if name != FASHION_MNIST:
        return f"{hint}; the synthetic fallback exists for Fashion-MNIST only"
    if fallback == "none":
        return f"{hint}, or let data.fallback in params.yaml be `drawn`"
    if own_mirror:
        return f"{hint}, or to torchvision's root; garments are drawn only where it is not set"
    if kept:
        return f"{hint}, or try again later; {', '.join(kept)} in {raw} stays there"
    return None


def pack(folder: Path, hashed: set[Path], raw: Path, seed: int) -> list[str]:
    """Write the user's own images under the names of the published files; return the names of their classes."""
    # Imported here, and below, because a download needs no torch.
    from descent.sources.pictures import PARTS, in_random_order, read_folder
    from descent.sources.raw import write_raw

    tensors, classes = read_folder(folder, hashed)
    if not all((folder / f"{part}.dvc").exists() for part in PARTS):
        log.warning(
            "%s: not yet known to DVC; another clone or a queued experiment will not have these pictures. First type "
            "`dvc add images/train images/test` and commit images/*.dvc (docs/data.md).",
            folder,
        )
    write_raw(raw, in_random_order(tensors, seed))
    return classes


def write_synthetic_garments(counts: Drawn, raw: Path, seed: int) -> None:
    """Write synthetic garments under the names of the published files."""
    from descent.sources.garments import draw_garments
    from descent.sources.raw import write_raw

    write_raw(raw, draw_garments(counts.train, counts.test, seed))
