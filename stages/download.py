"""params.yaml, mirrors → data/raw/: the four files of Fashion-MNIST, or garments drawn in their stead."""

import logging
import os
from pathlib import Path

from descent.digests import digests
from descent.errors import DownloadError
from descent.fashion_mnist import DRAWN, FILES, REAL, SHA256
from descent.fetch import fetch
from descent.files import save_metrics
from descent.params import Drawn, load_params
from stages.terminal import stage, transfer

RAW = Path("data/raw")


def main() -> None:
    """Fetch and verify the data set; where no mirror delivers, draw a stand-in if `data.fallback` allows it."""
    params = load_params(Path("params.yaml"))
    own = os.environ.get("DESCENT_MIRROR")
    mirrors = [own, *params.data.mirrors] if own else params.data.mirrors
    try:
        for part, name in FILES.items():
            with transfer(name) as progress:
                fetch(name, SHA256[part], mirrors, RAW, progress=progress)
        source = REAL
    except DownloadError as error:
        if params.data.fallback == "none":
            raise DownloadError(
                f"{error}\n  Set DESCENT_MIRROR to a folder or address that has the file, or let data.fallback in "
                "params.yaml be `drawn`."
            ) from error
        logging.warning(
            "Going on with DRAWN GARMENTS, not Fashion-MNIST; every result will say so. Once it is within reach "
            "(see DESCENT_MIRROR in the README): `dvc repro --force download`, then `make repro`."
        )
        draw_stand_in(params.data.drawn, params.seed)
        source = DRAWN
    save_metrics(RAW / "source.json", {"source": source} | digests(RAW))


def draw_stand_in(counts: Drawn, seed: int) -> None:
    """Write drawn garments under the names of the real files."""
    # Imported where they are needed: with a mirror in reach this stage needs no torch.
    from descent.garments import draw_garments
    from descent.raw import write_raw

    write_raw(RAW, draw_garments(counts.train, counts.test, seed))


if __name__ == "__main__":
    stage(main)
