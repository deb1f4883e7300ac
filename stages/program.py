"""Run a program: arguments, errors, signals, locks, progress bars, and the check of what DVC records.

Imports only the standard library at first, so that a missing package is reported, and little of it, so that signals are
handled soon.
"""

from __future__ import annotations  # so that an older Python gets as far as the message about its packages

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import reduce, wraps
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
OURS = {"benchmarks", "descent", "stages", "tools"}
PIPELINES = ("dvc.yaml", "studies/dvc.yaml", "export/dvc.yaml")
CODE = re.compile(r"(src|stages)(/[^./][^/]*)+\.(py|html|css|js|md)|(params|studies)\.yaml")
STARTED = time.time()
ENDING = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class Interrupted(KeyboardInterrupt):
    """A signal came that asks for the end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def begin() -> None:
    """Let no error and no signal end in a traceback while a program imports what it needs.

    A stage that DVC started gets SIGTERM when that DVC ends, even if it is killed.
    """
    sys.excepthook = _hook
    for number in ENDING:
        signal.signal(number, _leave)
    if "DVC_STAGE" in os.environ:
        _end_with_parent()


def follow() -> None:
    """In a process that a stage starts: ignore Ctrl-C, which the stage handles, and end when the stage ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_parent()


def command(main: Callable[..., None]) -> None:
    """Run a program with the arguments of the command line; an error that the user can correct is one line."""
    import logging
    from inspect import signature

    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        signature(main).bind(*sys.argv[1:])
    except TypeError:
        program, asked = Path(sys.argv[0]), signature(main).parameters.values()
        names = [word.name.upper() if word.default is word.empty else f"[{word.name.upper()}]" for word in asked]
        sys.exit(" ".join(["usage: python -m", f"{program.parent.name}.{program.stem}", *names]))
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
        return "ERROR: not enough memory; a stage takes up to 1 GB, and `make repro JOBS=1` runs one at a time"
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] in OURS:
        return None
    if not isinstance(error, ModuleNotFoundError):
        return f"ERROR: {error}; if memory is not short, `make clean` and then `make repro` reinstalls everything"
    if Path(sys.prefix).resolve() == ENVIRONMENT:
        return f"ERROR: {error}: {ENVIRONMENT} is incomplete; `make clean` and then `make repro` reinstalls everything"
    return (
        f"ERROR: {error}: {sys.executable} is not the project's Python; `source .venv/bin/activate` takes that "
        "one, and `make repro` makes it first where there is none or the folder was renamed"
    )


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
    """Fail if the code and parameters that DVC will record are not those that the stage of this name ran with.

    Raises:
        DataError: A file of code or a parameter of the stage changed, or the stage imported a file of the project that
            is not among its dependencies.
    """
    from descent.io.errors import DataError

    before = recorded(address)
    files = [name for name in before if name.startswith(("src/", "stages/"))]
    if edited := [file for file in files if os.stat(file).st_ctime > STARTED]:
        raise DataError(f"{edited[0]} changed while {address} started; no result is recorded. Run it again")
    yield
    after = recorded(address)
    if changed := [name for name in before | after if before.get(name) != after.get(name)]:
        raise DataError(f"{changed[0]} changed while {address} ran; no result is recorded. Run it again")
    if unlisted := [file for file in imported() if file not in after]:
        raise DataError(
            f"{unlisted[0]} is no dependency of {address}, which ran it, and DVC would not notice a change of it; "
            "add its package to the deps of the stage in its dvc.yaml"
        )


def imported() -> list[str]:
    """Return the files of this checkout that the program imported, without those that only hold a docstring."""
    modules = (file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None)))
    files = {Path(file) for file in modules if not re.search(r"/(site|dist)-packages/|\.so$", file)}
    ours = (file for file in files if file.is_relative_to(ROOT) and not file.is_relative_to(sys.base_prefix))
    code = (file for file in ours if re.sub(r'^"""[^"]*"""\s*$', "", file.read_text(encoding="utf-8")))
    return sorted(file.relative_to(ROOT).as_posix() for file in code)


def recorded(address: str) -> dict[str, object]:
    """Return a digest of each file of code and the value of each parameter that a stage depends on by its dvc.yaml."""
    from ruamel.yaml import YAML

    from descent.io.files import sha256

    yaml = YAML(typ="safe")
    kind, _, key = address.rpartition(":")[2].partition("@")
    entries = (yaml.load(Path(pipeline).read_bytes())["stages"].get(kind) for pipeline in PIPELINES)
    entry: dict[str, Any] = next(filter(None, entries), {})
    entry = entry.get("do", entry)
    code = [Path(path) for path in entry.get("deps", []) if re.match(r"src|stages|.*\.yaml", path)]
    files = (file for path in code for file in (path, *path.rglob("*")) if CODE.fullmatch(file.as_posix()))
    found: dict[str, object] = {file.as_posix(): sha256(file) for file in files if file.is_file()}
    for each in entry.get("params", []):
        source, names = next(iter(each.items())) if isinstance(each, dict) else ("params.yaml", [each])
        values = yaml.load(Path(source).read_bytes())
        for name in (re.sub(r"\$\{\w+\}", key, name) for name in names):
            found[f"{source}: {name}"] = reduce(lambda section, part: section[part], name.split("."), values)
    return found


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


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Not as an exception: it could come up within a library that is half loaded.
    os.write(2, b"Interrupted before anything was done.\n")
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
