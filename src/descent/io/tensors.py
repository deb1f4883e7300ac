"""Keep named tensors in one file: safetensors bytes, written whole or not at all, read only as they were written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from descent.io.errors import DataError
from descent.io.files import replacing, sha256


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Write tensors and a word about them; the bytes depend on nothing else.

    Returns:
        Their SHA-256, for `load_tensors`.

    Raises:
        ValueError: There are several words; the library would write now this first, now that.
    """
    if metadata and len(metadata) > 1:
        raise ValueError(f"one word of metadata, not {len(metadata)}: their order in the file would change")
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # Through bytes of our own: the library's writer leaves a file that only its owner can read.
        temporary.write_bytes(save(contiguous, dict(metadata or {})))
    return sha256(path)


def load_tensors(path: Path, digest: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote: tensors, metadata.

    Args:
        path: The file.
        digest: The SHA-256 that it must have. Neither the format nor DVC would notice a byte that changed.

    Raises:
        DataError: The file is missing, cut short, no safetensors file, or another than the one recorded.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: not a file; move it away, and `dvc repro` makes one")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `dvc repro` makes it") from error
    if digest is not None and (found := hashlib.sha256(content).hexdigest()) != digest:
        raise DataError(f"{path}: expected SHA-256 {digest}, found {found}; `dvc repro --force` makes it anew")
    try:
        tensors = load(content)
        # safetensors reads the header too, but returns it only for a file, not for bytes.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return tensors, header.get("__metadata__") or {}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        # What the library says may hold any part of the file.
        reason = str(error)[:200].encode("unicode_escape").decode()
        raise DataError(
            f"{path}: not a whole safetensors file ({reason}); `dvc repro --force` makes it anew"
        ) from error
