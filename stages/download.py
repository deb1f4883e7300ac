"""params.yaml, mirrors or images/ → data/raw/: four files of images and labels, and where they come from."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from descent.io.errors import DataError, DownloadError
from descent.io.params import load_params
from descent.io.results import save_metrics
from descent.io.schema import Drawn
from descent.sources.digests import digests
from descent.sources.download import fetch, holds, restored
from descent.sources.published import DRAWN, FASHION_MNIST, FILES, FOLDER, PUBLISHED
from stages.program import stage, transfer

RAW, IMAGES = Path("data/raw"), Path("images")
SOURCE = RAW / "source.json"


def main() -> None:
    """Fetch what is missing of the images and verify all of them, or read those of a folder.

    Where no mirror has Fashion-MNIST, a stand-in is drawn if `data.fallback` allows it.
    """
    params = load_params(Path("params.yaml"))
    refuse_strays()
    name, mirrors = params.data.images, params.data.mirrors
    if name == "folder":
        source, classes = FOLDER, pack(IMAGES, params.seed)
    else:
        source, classes = name, list(PUBLISHED[name].classes)
        try:
            download(name, mirrors.get(name, []))
        except DownloadError as error:
            if remedy := instead_of_garments(name, params.data.fallback):
                raise DownloadError(f"{error}\n  {remedy}.") from error
            logging.warning(
                "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
                "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
            )
            draw_stand_in(params.data.drawn, params.seed)
            source = DRAWN
    save_metrics(SOURCE, {"source": source, "classes": classes, **digests(RAW)})


def download(name: str, mirrors: Sequence[str]) -> None:
    """Keep the files of a published set that are here; take the others from DVC's cache, else from a mirror."""
    wanted = PUBLISHED[name]
    missing = {part: file for part, file in FILES.items() if not holds(RAW / file, wanted.sha256[part])}
    cache = cache_folder() if missing else None
    for part, file in missing.items():
        md5, sha256 = wanted.md5[part], wanted.sha256[part]
        if cache and restored(RAW / file, cache / md5[:2] / md5[2:], sha256):
            continue
        with transfer(file) as progress:
            fetch(file, sha256, [*own_mirrors(wanted.folder), *mirrors], RAW, progress=progress)


def own_mirrors(folder: str) -> list[str]:
    """Return the mirror that the user named; before it the folder of torchvision's data set, where it is the root."""
    own = os.environ.get("DESCENT_MIRROR")
    below = Path(os.path.expanduser(own or ""), folder, "raw")
    return [*([str(below)] if own and below.is_dir() else []), *([own] if own else [])]


def instead_of_garments(name: str, fallback: str) -> str | None:
    """Say what to do where garments must not be drawn; they are for those who never had the images."""
    files = ", ".join(FILES.values())
    hint = f"Set DESCENT_MIRROR to a folder or address that has the files {files}"
    kept = [file for part, file in FILES.items() if holds(RAW / file, PUBLISHED[name].sha256[part])]
    if name != FASHION_MNIST:
        return f"{hint}; a stand-in there is for Fashion-MNIST only"
    if fallback == "none":
        return f"{hint}, or let data.fallback in params.yaml be `drawn`"
    if os.environ.get("DESCENT_MIRROR"):
        return f"{hint}, or to torchvision's root; garments are drawn only where it is not set"
    if kept:
        return f"{hint}, or try again later; {', '.join(kept)} in {RAW} stays there"
    return None


def cache_folder() -> Path | None:
    """Return the folder in which DVC keeps files by their MD5."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return Path(repo.cache.local.path)
    except DvcException:  # not in a repository
        return None


def hashed_files(folder: Path) -> set[Path]:
    """Return the files that DVC hashes: none that .dvcignore names, none in a linked folder."""
    from dvc.fs import localfs
    from dvc.repo import Repo

    with Repo(uninitialized=True) as repo:
        return {Path(path) for path in repo.dvcignore.find(localfs, str(folder))}


def pack(folder: Path, seed: int) -> list[str]:
    """Write the pictures of a folder under the names of the published files; return the names of their classes."""
    from descent.sources.pictures import PARTS, read_folder, shuffled
    from descent.sources.raw import write_raw

    tensors, classes = read_folder(folder, hashed_files(folder))
    if not all((folder / f"{part}.dvc").exists() for part in PARTS):
        logging.warning(
            "%s: not yet known to DVC; another clone or a queued experiment will not have these pictures. First type "
            "`dvc add images/train images/test` and commit images/*.dvc (docs/data.md).",
            folder,
        )
    write_raw(RAW, shuffled(tensors, seed))
    return classes


def draw_stand_in(counts: Drawn, seed: int) -> None:
    """Write drawn garments under the names of the real files."""
    # Imported where they are needed: with a mirror in reach this stage needs no torch.
    from descent.sources.garments import draw_garments
    from descent.sources.raw import write_raw

    write_raw(RAW, draw_garments(counts.train, counts.test, seed))


def refuse_strays() -> None:
    """Refuse what does not belong into the output, which DVC does not empty: it may be the only copy.

    Raises:
        DataError: The folder is a link, or has other files, which DVC would hash with it.
    """
    if RAW.is_symlink():
        raise DataError(
            f"{RAW} is a link, and this stage writes there; remove it, and name its folder in DESCENT_MIRROR"
        )
    allowed = {RAW / name for name in (SOURCE.name, *FILES.values())}
    if not RAW.is_dir() or {*RAW.iterdir()} <= allowed:
        return
    if strays := sorted(hashed_files(RAW.resolve()) - {path.resolve() for path in allowed}):
        raise DataError(f"{strays[0]}: no file of this stage; move it elsewhere")


if __name__ == "__main__":
    stage(main)
