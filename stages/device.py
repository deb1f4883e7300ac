"""Where a stage computes, as its environment says."""

import os

import torch

from descent.io.errors import ParamsError


def chosen_device() -> torch.device:
    """Return the device of DESCENT_DEVICE: `cpu` (also where it is not set), `cuda`, or `auto`, a GPU if there is one.

    Raises:
        ParamsError: It is none of these, or `cuda` on a machine where torch can use no GPU.
    """
    name = os.environ.get("DESCENT_DEVICE", "cpu")
    if name not in ("cpu", "cuda", "auto"):
        raise ParamsError(f"DESCENT_DEVICE={name}: expected cpu, cuda or auto")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError(
            "DESCENT_DEVICE=cuda: torch can use no GPU here; take cpu, or auto to use one where there is one"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
