"""Keep the memory that one step gives back at hand for the next."""

import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest block that comes from the heap; larger ones are mapped each time anew. Of 32 MB, glibc's own limit, an
# attack's heap went to pieces: up to 1.3 GB instead of 0.7, and no faster.
LARGEST_BLOCK = 8 * 1024**2
KEPT = 256 * 1024**2


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed, up to 256 MB, instead of giving it back to the system.

    The layers of a ConvNet ask for the same megabytes in each step. Given back and taken anew, every page costs a
    fault and is cleared: depending on what happens to lie at the end of the heap, a tenth of an epoch or more.

    Returns:
        Whether it could be told; only glibc can.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))
