"""Make a computation give the same bits each time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


def make_deterministic(threads: int, device: torch.device = CPU) -> None:
    """Compute with `threads` threads, and refuse operations whose result depends on their timing.

    Sums are split differently between other numbers of threads, so the last bits of a result depend on it. On a GPU
    some operations have no other way, and are taken with a warning; all compute in whole float32.
    """
    torch.set_num_threads(threads)
    # What torch.use_deterministic_algorithms does, without the second that it takes to import a compiler's settings.
    torch._C._set_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = False
    # Every new tensor would be filled with NaN first, to expose code that reads what it never wrote: a twentieth
    # of a ConvNet's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Count numbers below float32's normal range, 1.2e-38, as 0.

    Under weight decay the weights of pixels that are always black shrink to such numbers. Some processors need a
    hundred times as long for them: an epoch of the MLP took 3.4 s instead of 0.6 s.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        # An attack asks for the sign of a gradient, however small it is.
        torch.set_flush_denormal(False)
