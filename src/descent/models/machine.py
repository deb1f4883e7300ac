"""Settings of the machine: threads and determinism, denormal numbers, and the memory allocator."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest block from the heap. With 8 MB, or glibc's own 32, an attack took up to 1.3 GB instead of 0.7, no faster.
LARGEST_BLOCK = 5 * 1024**2
KEPT = 256 * 1024**2


def make_deterministic(threads: int, device: torch.device = CPU) -> None:
    """Compute with `threads` threads, and refuse operations whose result depends on their timing.

    The last bits of a sum depend on the number of threads. On a GPU, what depends on timing only warns; TF32 is off.
    """
    torch.set_num_threads(threads)
    # torch.use_deterministic_algorithms takes a second to import a compiler's settings.
    torch._C._set_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = False
    # Filling every new tensor with NaN takes a twentieth of a ConvNet's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Count numbers below float32's normal range, 1.2e-38, as 0.

    Under weight decay the weights of black pixels shrink to them. An epoch of the MLP took 3.4 s instead of 0.6 s.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        # An attack asks for the sign of a gradient, however small it is.
        torch.set_flush_denormal(False)


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory, up to 256 MB, and return whether the C library is one that can be told.

    A ConvNet asks for the same megabytes in each step. Page faults for them take a tenth of an epoch or more.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))
