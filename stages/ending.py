"""Report errors that a user can mend without a traceback. Needs the standard library alone: packages may be missing."""

from __future__ import annotations  # so that an older Python gets as far as the message about its packages

import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
OURS = {"benchmarks", "descent", "stages", "tools"}
ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv"


class Interrupted(KeyboardInterrupt):
    """A signal came that asks for the end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def begin() -> None:
    """Let nothing that comes while a program imports what it needs end in a traceback.

    A stage that DVC started is told by the system when that DVC ends, however that came, and ends too.
    """
    sys.excepthook = _hook
    for number in ENDING:
        signal.signal(number, _leave)
    if "DVC_STAGE" in os.environ:
        _end_with_parent()


def follow() -> None:
    """In a process that a stage starts: leave Ctrl-C to the stage, and end when it ends or says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_parent()


def _end_with_parent() -> None:
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def raise_when_interrupted() -> None:
    """From now on leave what is being done in good order when a signal comes; another one is not heard."""
    for number in ENDING:
        signal.signal(number, _interrupt)


def said(error: BaseException) -> str | None:
    """Return what to tell the user of an error; None of one that only a programmer can mend."""
    if isinstance(error, KeyboardInterrupt):
        return f"Interrupted by {error}. No file was left half-written."
    if isinstance(error, OSError) or "DescentError" in (kind.__name__ for kind in type(error).__mro__):
        return f"ERROR: {error}"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "ERROR: not enough memory; a stage takes up to 1 GB, and `make repro JOBS=1` runs one at a time"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in OURS:
        return None
    if isinstance(error, ModuleNotFoundError) and Path(sys.prefix).resolve() != ENVIRONMENT:
        return (
            f"ERROR: {error}: {sys.executable} is not the project's Python; `source .venv/bin/activate` takes that "
            "one, and `make repro` makes it first where there is none or the folder was renamed"
        )
    if isinstance(error, ModuleNotFoundError):
        return f"ERROR: {error}: {ENVIRONMENT} is not whole; `make clean` and then `make repro` installs all anew"
    if isinstance(error, ImportError):
        return f"ERROR: {error}; if memory is not short here, `make clean` and then `make repro` installs all anew"
    return None


def status(error: BaseException) -> int:
    """Return the status to exit with: 128 and the signal's number where one came, else 1."""
    return 128 + error.number if isinstance(error, Interrupted) else 1


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    words = said(error)
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
