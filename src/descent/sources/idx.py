"""Read and write the gzipped IDX files in which the MNIST family of data sets is published."""

import gzip
import tempfile
import zlib
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from descent.io.errors import DataError
from descent.io.files import replacing
from descent.sources.vision import torchvision

# The largest published file decompresses to 47,040,016 bytes; synthetic files are not larger.
MOST_BYTES = 2**26


def write_idx(path: Path, array: UInt8[Tensor, "..."]) -> None:
    """Write bytes of one to three dimensions; the same array gives the same file."""
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions, and each of them.
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    with replacing(path) as temporary:
        # No time stamp, for identical bytes; level 1, because compression takes most of the time.
        temporary.write_bytes(gzip.compress(header + array.numpy().tobytes(), compresslevel=1, mtime=0))


def read_idx(path: Path, *sizes: int | None) -> UInt8[Tensor, "..."]:
    """Read an array of unsigned bytes whose shape is `sizes`, where None stands for any size.

    Raises:
        DataError: The file is missing, damaged or cut short, or holds something else than that array.
    """
    content = _inflated(path)
    try:
        with tempfile.NamedTemporaryFile(suffix=".idx") as file:
            file.write(content)
            file.flush()
            array: Tensor = torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(file.name)
    except (AssertionError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: not a whole IDX file; `dvc repro -f download` renews it") from error
    fits = len(sizes) == array.ndim and all(
        size in (None, found) for size, found in zip(sizes, array.shape, strict=True)
    )
    if array.dtype != torch.uint8 or not fits:
        expected = "×".join("any" if size is None else str(size) for size in sizes)
        found = "×".join(map(str, array.shape))
        raise DataError(f"{path}: expected {expected} unsigned bytes, found {found} of {array.dtype}")
    return array


def _inflated(path: Path) -> bytes:
    """Decompress at most `MOST_BYTES`: a gzip file can expand to a thousand times its size."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a file; move it away, and `dvc repro -f download` writes it anew")
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro download` fetches it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); `dvc repro -f download` renews it") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: inflates to more than {MOST_BYTES:,} bytes; `dvc repro -f download` renews it")
    return content
