"""params.yaml, mirrors or images/ → data/raw/: images and labels, and where they come from."""

import os

from descent.io.layout import IMAGES, PARAMS, RAW, SOURCE
from descent.io.params import load_params
from descent.io.results import save_metrics
from descent.sources.images import ImageSettings, obtain_images
from stages.program import progress, stage


def main() -> None:
    """Download what is missing of the images and verify all of them, read a folder, or draw synthetic garments."""
    params = load_params(PARAMS)
    settings = ImageSettings(params.data.images, params.data.mirrors, params.data.fallback, params.data.drawn)

    recorded = obtain_images(settings, params.seed, RAW, IMAGES, os.environ.get("DESCENT_MIRROR"), progress)

    save_metrics(SOURCE, recorded)


if __name__ == "__main__":
    stage(main)
