"""Programs for whoever works on the project; no stage of the pipeline."""
