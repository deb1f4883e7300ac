"""The checkpoint of a training run: one file to resume from, deleted when the run is finished."""

import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import load, save
from torch import Tensor

from descent.io.files import replacing

log = logging.getLogger(__name__)


class Checkpoint:
    """The state of a run after its last finished epoch: `history`, a row for each, and the tensors of `State`.

    As a context manager it restores the state in the file, deletes the file after success, and logs what is kept after
    an error. A damaged file, or one of another `stamp` (other parameters, data or code), is not used.
    """

    def __init__(self, path: Path, stamp: str, tensors: Mapping[str, Tensor], rng: torch.Generator) -> None:
        self._path, self._stamp, self._tensors, self._rng = path, stamp, tensors, rng
        self.history: list[dict[str, float]] = []

    def __enter__(self) -> "Checkpoint":
        """Restore the state in the file, if it exists."""
        try:
            digest, _, content = self._path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return self
        if hashlib.sha256(content).hexdigest().encode() != digest:
            log.warning("%s: damaged, and not used; training begins anew", self._path)
            return self
        words, _, body = content.partition(b"\n")
        if (kept := json.loads(words))["stamp"] != self._stamp:
            log.warning("%s: of other parameters, data or code, and not used; training begins anew", self._path)
            return self
        tensors = load(body)
        self._rng.set_state(tensors.pop("rng"))
        for name, tensor in tensors.items():
            self._tensors[name].copy_(tensor)
        self.history = kept["history"]
        log.warning("%s: going on after epoch %d", self._path, len(self.history))
        return self

    def keep(self, row: dict[str, float]) -> None:
        """Add the row of an epoch just finished, and keep the state after it."""
        self.history.append(row)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self._tensors.items()}
        words = json.dumps({"stamp": self._stamp, "history": self.history}, allow_nan=False).encode()
        content = words + b"\n" + save(tensors | {"rng": self._rng.get_state()})
        # Data passed to `write()` survives SIGKILL, so no fsync; after a power failure the digest detects damage.
        with replacing(self._path, flush=False) as temporary:
            temporary.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Delete the file after success; otherwise log what it holds."""
        if kind is None:
            self._path.unlink(missing_ok=True)
        elif self.history:
            log.warning(
                "%s: keeps %d finished epochs, and the next run goes on from there", self._path, len(self.history)
            )


def stamp(depends: Sequence[object], packages: set[str]) -> str:
    """Hash values of JSON, the code of the program and of loaded `packages`, torch's version and the processor."""
    modules = [module for name, module in sys.modules.items() if name == "__main__" or name.split(".")[0] in packages]
    files = sorted({file for module in modules if (file := getattr(module, "__file__", None))})
    words = json.dumps([depends, torch.__version__, torch.backends.cpu.get_cpu_capability()], sort_keys=True)
    digest = hashlib.sha256(words.encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
