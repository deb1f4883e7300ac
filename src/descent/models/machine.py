"""Settings of the machine: threads and determinism, denormal numbers, and the memory allocator."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest block that comes from the heap; larger ones are mapped each time anew. Of 32 MB, glibc's own limit, an
# attack's heap went to pieces: up to 1.3 GB instead of 0.7, and no faster.
LARGEST_BLOCK = 8 * 1024**2
KEPT = 256 * 1024**2


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


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed, up to 256 MB, instead of giving it back to the system.

    The layers of a ConvNet ask for the same megabytes in each step. Given back and taken anew, every page costs a
    fault and is cleared: depending on what happens to lie at the end of the heap, a tenth of an epoch or more.

    Returns:
        Whether it could be told; only glibc can.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))
