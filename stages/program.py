"""Run a program: arguments, errors, signals, locks, progress bars, and the check of what DVC records.

Imports only the standard library at first, so that a missing package is reported.
"""

from __future__ import annotations  # so that an older Python gets as far as the message about its packages

import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import wraps
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[1]
OURS = {"benchmarks", "descent", "stages", "tools"}
PARAMETERS = ("params.yaml", "studies.yaml")
ENVIRONMENTS = tuple(f"{prefix}/" for prefix in (sys.prefix, sys.base_prefix) if prefix.startswith(f"{ROOT}/"))
READ: dict[str, tuple[int, int] | None] = {}  # files of the checkout, with their state when the program opened them
ENDING = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM was received."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def begin() -> None:
    """Report errors of imports in one line, and let a signal meanwhile end the process.

    A stage that DVC started gets SIGTERM when that DVC ends, even if it is killed.
    """
    sys.excepthook = _hook
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    if "DVC_STAGE" in os.environ:
        _end_with_parent()


def command(main: Callable[..., None]) -> None:
    """Run a program with the arguments of the command line; an error that the user can correct is one line."""
    import logging
    from inspect import signature

    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        signature(main).bind(*sys.argv[1:])
    except TypeError:
        program, names = Path(sys.argv[0]), " ".join(signature(main).parameters).upper()
        sys.exit(f"usage: python -m {program.parent.name}.{program.stem} {names}")
    try:
        for number in ENDING:
            signal.signal(number, _interrupt)
        main(*sys.argv[1:])
    except BaseException as error:
        if (words := message(error)) is None:
            raise
        sys.stderr.write(f"{words}\n")
        sys.exit(128 + error.number if isinstance(error, Interrupted) else 1)


def stage(main: Callable[..., None]) -> None:
    """Run a stage as a program, one process at a time: a stage whose DVC was killed may still be running."""

    @wraps(main)
    def alone(*names: str) -> None:
        named = os.environ.get("DVC_STAGE")  # else DVC does not run it, and records nothing
        with locked("@".join([Path(sys.argv[0]).stem, *names])), unchanged(named) if named else nullcontext():
            main(*names)

    command(alone)


def message(error: BaseException) -> str | None:
    """Return the message for an error that the user can correct; None for a bug."""
    if isinstance(error, KeyboardInterrupt):
        return f"Interrupted by {error}. No file was left half-written."
    if isinstance(error, OSError) or "DescentError" in (kind.__name__ for kind in type(error).__mro__):
        return f"ERROR: {error}"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "ERROR: not enough memory; `make repro JOBS=1` runs one stage at a time"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in OURS:
        return (
            f"ERROR: {error} (in {sys.executable}); `source .venv/bin/activate` takes the project's Python, `make "
            "studies` and `make export` install what they need, and `make clean`, then `make repro`, everything again"
        )
    return None


@contextmanager
def locked(name: str) -> Iterator[int]:
    """Wait until no other process holds the lock of this name; yield its file descriptor, for child processes."""
    import logging
    from urllib.parse import quote

    from descent.io.layout import CHECKPOINTS

    path = CHECKPOINTS / f"{quote(name, safe='@')}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            logging.warning("%s: waiting for another process that runs it", name)
            flock(file, LOCK_EX)
        except OSError as error:  # some network file systems know no locks
            logging.warning("%s cannot be locked (%s): run one `make` or `dvc` at a time here", path, error.strerror)
        yield file.fileno()


@contextmanager
def unchanged(address: str) -> Iterator[None]:
    """Fail if DVC would record other code, parameters or data than the stage of this address ran with.

    Raises:
        DataError: A dependency is not what dvc.lock records as an output, or it changed after the stage read it; or the
            stage read a file of the checkout that is not among its dependencies.
    """
    from descent.io.dependencies import below, declared, ignored, locked_outputs, matches, md5
    from descent.io.errors import DataError

    inputs, outputs, before = declared(address)
    for path, digest in locked_outputs().items():
        if matches(path, inputs) and Path(path).exists() and md5(Path(path)) != digest:
            raise DataError(f"{path} is not as dvc.lock records it; `dvc repro` makes it again")
    there = below(inputs)
    yield
    after = declared(address).parameters
    # Of a file with parameters, DVC records those that are listed, unless the whole file is.
    files = [path for path in READ if matches(path, inputs) or path not in PARAMETERS and not matches(path, outputs)]
    changed = [path for path in files if _state(path) != READ[path]]
    changed += [str(path) for path in there ^ below(inputs) if not path.is_dir() and not ignored(path)]
    if changed := changed + [name for name in before if before[name] != after.get(name)]:
        raise DataError(f"{changed[0]} changed while {address} ran; no result is recorded. Run it again")
    if unlisted := [path for path in files if not matches(path, inputs) and not _only_a_docstring(path)]:
        raise DataError(
            f"{unlisted[0]} is no dependency of {address}, which read it, and DVC would not notice a change of it; "
            "add it to the deps of the stage in its dvc.yaml"
        )


def watch() -> None:
    """Note, from now on, the state of each file of the checkout when the program opens it to read."""
    sys.addaudithook(_note)
    for name in ("stages", "stages.program"):  # read before
        _note("open", (sys.modules[name].__file__, "r"))


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or not isinstance(args[0], str) or args[1] != "r":
        return
    path = os.path.abspath(args[0])
    if not path.startswith(f"{ROOT}/") or path.startswith(ENVIRONMENTS):
        return
    if path.endswith(".pyc"):
        raise OSError("kept bytecode, which may be that of another source")  # Python goes on to the source
    with suppress(OSError, ValueError):
        path = os.path.relpath(path, ROOT)
        if "/." not in f"/{path}" and not path.endswith(("dvc.yaml", "dvc.lock")) and path not in READ:
            READ[path] = _state(path)


def _only_a_docstring(path: str) -> bool:
    return path.endswith("__init__.py") and not re.sub(r'^"""[^"]*"""\s*$', "", Path(path).read_text(encoding="utf-8"))


def _state(path: str) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size
    return None


def chosen_device() -> torch.device:
    """Return the device of DESCENT_DEVICE: `cpu` (also where it is not set), `cuda`, or `auto`, a GPU if there is one.

    Raises:
        ParamsError: It is none of these, or `cuda` on a machine where torch can use no GPU.
    """
    import torch

    from descent.io.errors import ParamsError

    name = os.environ.get("DESCENT_DEVICE", "cpu")
    if name not in ("cpu", "cuda", "auto"):
        raise ParamsError(f"DESCENT_DEVICE={name}: expected cpu, cuda or auto")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError(
            "DESCENT_DEVICE=cuda: torch can use no GPU here; take cpu, or auto to use one where there is one"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def progress(name: str, unit: str, total: int | None = None, done: int = 0) -> Iterator[Any]:
    """Show a progress bar, on a terminal only; yield it."""
    from tqdm import tqdm

    with tqdm(
        desc=name, total=total, initial=done, unit=unit, unit_scale=unit == "B", disable=None, leave=False
    ) as bar:
        yield bar


def _end_with_parent() -> None:
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    words = message(error)
    if words is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        sys.stderr.write(f"{words}\n")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
