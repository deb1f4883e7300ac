"""Keep named tensors in one file: safetensors bytes, written whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from descent.errors import DataError
from descent.files import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors and a few words about them; the bytes depend on nothing else."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # Through bytes of our own: the library's writer leaves a file that only its owner can read.
        temporary.write_bytes(save(contiguous, dict(metadata or {})))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote: tensors, metadata.

    Raises:
        DataError: The file is missing, cut short, or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro` makes it") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a whole safetensors file ({error}); `dvc repro --force` makes it anew") from error
