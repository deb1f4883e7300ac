"""Programs for developers; no stages of the pipeline."""

import stages  # noqa: F401 - prepares the import path, the environment and the error handler
