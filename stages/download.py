"""params.yaml, mirrors or images/ → data/raw/: four files of images and labels, and where they come from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from descent.io.layout import IMAGES, PARAMS, RAW, SOURCE
from descent.io.params import load_params
from descent.io.results import save_metrics
from descent.sources.digests import digests
from descent.sources.download import Progress
from descent.sources.images import ImageSettings, Surroundings, obtain_images
from stages.program import progress, stage


def main() -> None:
    """Download what is missing of the images and verify all of them, read a folder, or draw synthetic garments."""
    params = load_params(PARAMS)
    settings = ImageSettings(params.data.images, params.data.mirrors, params.data.fallback, params.data.drawn)
    surroundings = Surroundings(os.environ.get("DESCENT_MIRROR"), cache_folder, hashed_files, download_progress)

    source, classes = obtain_images(settings, params.seed, RAW, IMAGES, surroundings)

    save_metrics(SOURCE, {"source": source, "classes": classes, **digests(RAW)})


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


@contextmanager
def download_progress(name: str) -> Iterator[Progress]:
    """Show how many bytes of a file have been received."""
    with progress(name, "B") as bar:

        def show(received: int, total: int | None) -> None:
            bar.total = total
            bar.update(received - bar.n)

        yield show


if __name__ == "__main__":
    stage(main)
