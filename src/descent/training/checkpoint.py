"""What a training run needs in order to go on after it was killed, in one file that is deleted when it is done."""

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
    """The state of a run after its last finished epoch.

    As a context it puts back what the file holds, deletes the file when the block ends well, and says what is kept
    when it does not. A file that was made with other parameters, data or code, or whose bytes changed, is not used.

    Args:
        path: The file.
        stamp: Of all that the run depends on; see `stamp`.
        tensors: All that training changes, by name; put back in place.
        rng: What draws its random numbers.

    Attributes:
        history: A row for each finished epoch.
    """

    def __init__(self, path: Path, stamp: str, tensors: Mapping[str, Tensor], rng: torch.Generator) -> None:
        self._path, self._stamp, self._tensors, self._rng = path, stamp, tensors, rng
        self.history: list[dict[str, float]] = []

    def __enter__(self) -> "Checkpoint":
        """Put back the state of the file, where there is one."""
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
        # Whoever kills a program does not take away what it told the system to write; after a power failure the
        # digest tells. To wait for the disk would cost more than the rest.
        with replacing(self._path, flush=False) as temporary:
            temporary.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Delete the file after success; else say what it holds."""
        if kind is None:
            self._path.unlink(missing_ok=True)
        elif self.history:
            log.warning(
                "%s: keeps %d finished epochs, and the next run goes on from there", self._path, len(self.history)
            )


def stamp(depends: Sequence[object], packages: set[str]) -> str:
    """Return a digest of what a result depends on, of the code in use, and of what it computes with.

    Args:
        depends: Parameters and digests of data; what JSON can say.
        packages: Of which every module that is loaded counts, as does the program itself.
    """
    modules = [module for name, module in sys.modules.items() if name == "__main__" or name.split(".")[0] in packages]
    files = sorted({file for module in modules if (file := getattr(module, "__file__", None))})
    words = json.dumps([depends, torch.__version__, torch.backends.cpu.get_cpu_capability()], sort_keys=True)
    digest = hashlib.sha256(words.encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
