"""Programs for whoever works on the project; no stage of the pipeline."""

import stages  # noqa: F401 - from here on they end as stages do
