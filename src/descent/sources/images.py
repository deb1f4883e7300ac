"""The four files of images and labels: kept, restored from DVC's cache, downloaded, read from a folder, or drawn."""

import logging
import os.path
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from descent.io.errors import DataError, DownloadError
from descent.io.layout import SOURCE
from descent.io.schema import Data, Drawn
from descent.sources.download import Progress, fetch, holds, restored
from descent.sources.published import DRAWN, FASHION_MNIST, FILES, FOLDER, PUBLISHED

log = logging.getLogger(__name__)


class Environment(NamedTuple):
    """What depends on the user's machine, and on DVC."""

    own_mirror: str | None  # a folder or an address; DESCENT_MIRROR
    cache_folder: Callable[[], Path | None]  # where DVC keeps files by their MD5
    hashed_files: Callable[[Path], set[Path]]  # those in a folder of which DVC notices a change
    progress_bar: Callable[[str], AbstractContextManager[Progress]]  # of the download of a file


def obtain_images(
    settings: Data, seed: int, raw: Path, pictures: Path, environment: Environment
) -> tuple[str, list[str]]:
    """Put the four files of images and labels into a folder.

    Where no mirror has Fashion-MNIST, synthetic garments are drawn if `data.fallback` allows it.

    Args:
        settings: Which images, from which mirrors, and the fallback.
        seed: Of synthetic garments, and of the order of a folder's pictures.
        raw: Where the files go.
        pictures: The folder with the user's own pictures.
        environment: See there.

    Returns:
        The source, for `descent.sources.published.title`, and the names of the classes.

    Raises:
        DataError: `raw` has other files, or a picture is not as it must be.
        DownloadError: A file was not downloaded, and nothing may be drawn instead.
    """
    refuse_strays(raw, environment.hashed_files)
    name = settings.images
    if name == "folder":
        return FOLDER, pack(pictures, environment.hashed_files(pictures), raw, seed)
    source: str = name
    try:
        fetch_published(name, settings.mirrors.get(name, []), raw, environment)
    except DownloadError as error:
        if remedy := refusal_to_draw(name, settings.fallback, raw, environment.own_mirror):
            raise DownloadError(f"{error}\n  {remedy}.") from error
        log.warning(
            "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
            "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
        )
        draw_stand_in(settings.drawn, raw, seed)
        source = DRAWN
    return source, list(PUBLISHED[name].classes)


def refuse_strays(raw: Path, hashed_files: Callable[[Path], set[Path]]) -> None:
    """Refuse files that do not belong into the output, which DVC does not empty: they may be the only copy.

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
    if strays := sorted(hashed_files(raw.resolve()) - {path.resolve() for path in allowed}):
        raise DataError(f"{strays[0]}: no file of this stage; move it elsewhere")


def fetch_published(name: str, mirrors: Sequence[str], raw: Path, environment: Environment) -> None:
    """Keep the verified files of a published set; restore the others from DVC's cache, or download them."""
    published = PUBLISHED[name]
    missing = {part: file for part, file in FILES.items() if not holds(raw / file, published.sha256[part])}
    cache = environment.cache_folder() if missing else None
    mirrors = [*own_mirrors(environment.own_mirror, published.folder), *mirrors]
    for part, file in missing.items():
        md5, sha256 = published.md5[part], published.sha256[part]
        if cache and restored(raw / file, cache / md5[:2] / md5[2:], sha256):
            continue
        with environment.progress_bar(file) as progress:
            fetch(file, sha256, mirrors, raw, progress=progress)


def own_mirrors(own: str | None, folder: str) -> list[str]:
    """Return the mirror that the user named; before it the folder of torchvision's data set, where it is the root."""
    if not own:
        return []
    below = Path(os.path.expanduser(own), folder, "raw")
    return [str(below), own] if below.is_dir() else [own]


def refusal_to_draw(name: str, fallback: str, raw: Path, own_mirror: str | None) -> str | None:
    """Say what to do where garments must not be drawn, as they are for users who never had the images; else None."""
    hint = f"Set DESCENT_MIRROR to a folder or address that has the files {', '.join(FILES.values())}"
    kept = [file for part, file in FILES.items() if holds(raw / file, PUBLISHED[name].sha256[part])]
    if name != FASHION_MNIST:
        return f"{hint}; a stand-in there is for Fashion-MNIST only"
    if fallback == "none":
        return f"{hint}, or let data.fallback in params.yaml be `drawn`"
    if own_mirror:
        return f"{hint}, or to torchvision's root; garments are drawn only where it is not set"
    if kept:
        return f"{hint}, or try again later; {', '.join(kept)} in {raw} stays there"
    return None


def pack(folder: Path, hashed: set[Path], raw: Path, seed: int) -> list[str]:
    """Write the pictures of a folder under the names of the published files; return the names of their classes."""
    # Imported where it is needed, as below: with a mirror in reach no torch is needed.
    from descent.sources.pictures import PARTS, read_folder, shuffled
    from descent.sources.raw import write_raw

    tensors, classes = read_folder(folder, hashed)
    if not all((folder / f"{part}.dvc").exists() for part in PARTS):
        log.warning(
            "%s: not yet known to DVC; another clone or a queued experiment will not have these pictures. First type "
            "`dvc add images/train images/test` and commit images/*.dvc (docs/data.md).",
            folder,
        )
    write_raw(raw, shuffled(tensors, seed))
    return classes


def draw_stand_in(counts: Drawn, raw: Path, seed: int) -> None:
    """Write synthetic garments under the names of the published files."""
    from descent.sources.garments import draw_garments
    from descent.sources.raw import write_raw

    write_raw(raw, draw_garments(counts.train, counts.test, seed))
