"""params.yaml, mirrors or images/ → data/raw/: images and labels, and where they come from."""

import os

from descent.io.layout import IMAGES, PARAMS, RAW, SOURCE
from descent.io.params import load_params
from descent.io.results import save_metrics
from descent.sources.images import obtain_images
from stages.program import progress, stage


def main() -> None:
    """Download what is missing of the images and verify all of them, read a folder, or draw synthetic garments."""
    params = load_params(PARAMS)
    mirror = os.environ.get("DESCENT_MIRROR")

    recorded = obtain_images(params.data, params.seed, RAW, IMAGES, mirror, progress)

    save_metrics(SOURCE, recorded)


if __name__ == "__main__":
    stage(main)
