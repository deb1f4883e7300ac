"""params.yaml, mirrors or images/ → data/raw/: four files of images and labels, and where they come from."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from descent.digests import digests
from descent.errors import DownloadError
from descent.fetch import fetch
from descent.files import save_metrics
from descent.image_sets import DRAWN, FASHION_MNIST, FILES, FOLDER, PUBLISHED
from descent.params import Drawn, load_params
from stages.terminal import stage, transfer

RAW, IMAGES = Path("data/raw"), Path("images")


def main() -> None:
    """Fetch and verify the images, or read those of a folder.

    Where no mirror has Fashion-MNIST, a stand-in is drawn if `data.fallback` allows it.
    """
    params = load_params(Path("params.yaml"))
    name, mirrors = params.data.images, params.data.mirrors
    if name == "folder":
        source, classes = FOLDER, pack(IMAGES)
    else:
        source, classes = name, list(PUBLISHED[name].classes)
        try:
            download(name, mirrors.get(name, []))
        except DownloadError as error:
            hint = "Set DESCENT_MIRROR to a folder or address that has the file"
            if name != FASHION_MNIST:
                raise DownloadError(f"{error}\n  {hint}; a stand-in there is for Fashion-MNIST only.") from error
            if params.data.fallback == "none":
                raise DownloadError(f"{error}\n  {hint}, or let data.fallback in params.yaml be `drawn`.") from error
            logging.warning(
                "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
                "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
            )
            draw_stand_in(params.data.drawn, params.seed)
            source = DRAWN
    save_metrics(RAW / "source.json", {"source": source, "classes": classes, **digests(RAW)})


def download(name: str, mirrors: Sequence[str]) -> None:
    """Fetch the four files of a published set, from DESCENT_MIRROR first."""
    own = os.environ.get("DESCENT_MIRROR")
    for part, file in FILES.items():
        with transfer(file) as progress:
            fetch(file, PUBLISHED[name].sha256[part], [own, *mirrors] if own else mirrors, RAW, progress=progress)


def pack(folder: Path) -> list[str]:
    """Write the pictures of a folder under the names of the published files; return the names of their classes."""
    from descent.png_folder import read_folder
    from descent.raw import write_raw

    tensors, classes = read_folder(folder)
    write_raw(RAW, tensors)
    return classes


def draw_stand_in(counts: Drawn, seed: int) -> None:
    """Write drawn garments under the names of the real files."""
    # Imported where they are needed: with a mirror in reach this stage needs no torch.
    from descent.garments import draw_garments
    from descent.raw import write_raw

    write_raw(RAW, draw_garments(counts.train, counts.test, seed))


if __name__ == "__main__":
    stage(main)
