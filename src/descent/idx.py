"""Read and write the gzipped IDX files in which the MNIST family of data sets is published."""

import gzip
import tempfile
import zlib
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from descent.errors import DataError
from descent.files import replacing
from descent.vision import torchvision


def write_idx(path: Path, array: UInt8[Tensor, "..."]) -> None:
    """Write bytes of one to three dimensions; the same array gives the same file."""
    # Two zero bytes, the type (8: unsigned byte), the number of dimensions, and each of them.
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    with replacing(path) as temporary:
        # Without a time stamp, and stored rather than squeezed where squeezing costs most of the time.
        temporary.write_bytes(gzip.compress(header + array.numpy().tobytes(), compresslevel=1, mtime=0))


def read_idx(path: Path, *sizes: int | None) -> UInt8[Tensor, "..."]:
    """Read an array of unsigned bytes whose shape is `sizes`, where None stands for any size.

    Raises:
        DataError: The file is missing, damaged or cut short, or holds something else than that array.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        with tempfile.NamedTemporaryFile(suffix=".idx") as file:
            file.write(content)
            file.flush()
            array: Tensor = torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(file.name)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro download` fetches it") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); `dvc repro -f download` renews it") from error
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
