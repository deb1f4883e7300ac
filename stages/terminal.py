"""What a stage takes from the command line and says on the terminal."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import wraps
from inspect import signature
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from stages.ending import raise_when_interrupted, said, status

# What a killed program leaves for the next; not of DVC's, and in no repository.
KEPT = Path(".ckpt")


def command(main: Callable[..., None]) -> None:
    """Run a program with the words of the command line; what its user can mend ends it in words, not a traceback."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    raise_when_interrupted()
    try:
        signature(main).bind(*sys.argv[1:])
    except TypeError:
        program, asked = Path(sys.argv[0]), signature(main).parameters.values()
        names = [word.name.upper() if word.default is word.empty else f"[{word.name.upper()}]" for word in asked]
        sys.exit(" ".join(["usage: python -m", f"{program.parent.name}.{program.stem}", *names]))
    try:
        main(*sys.argv[1:])
    except BaseException as error:
        if (words := said(error)) is None:
            raise
        sys.stderr.write(f"{words}\n")
        sys.exit(status(error))


def stage(main: Callable[..., None]) -> None:
    """Run a stage as any program, with its run's name where it has one, after DVC's name for it: `train@mlp`.

    Only one process at a time is let in: one whose DVC was killed just now may not have ended yet.
    """

    @wraps(main)
    def alone(*words: str) -> None:
        # DVC's name for the stage comes as a word of the environment; pasted into the command, a run's name would be
        # read by a shell before anybody checked it.
        names = [word.rpartition("@")[2] for word in words]
        with locked("@".join([Path(sys.argv[0]).stem, *names])):
            main(*names)

    command(alone)


@contextmanager
def locked(name: str) -> Iterator[int]:
    """Wait until no other process holds the lock of this name; yield its file, for those who are to hold it too."""
    path = KEPT / f"{quote(name, safe='@')}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            logging.warning("%s: another process is at it; waiting for its end", name)
            flock(file, LOCK_EX)
        except OSError as error:  # some network file systems know no locks
            logging.warning("%s cannot be locked (%s): run one `make` or `dvc` at a time here", path, error.strerror)
        yield file.fileno()


@contextmanager
def transfer(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show, on a terminal only, how much of a file has come."""
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def show(received: int, total: int | None) -> None:
            bar.total = total
            bar.update(received - bar.n)

        yield show


@contextmanager
def epochs(name: str, total: int, done: int) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show, on a terminal only, the epochs done and the last losses."""
    with tqdm(desc=name, total=total, initial=done, unit="epoch", disable=None, leave=False) as bar:

        def show(row: Mapping[str, float]) -> None:
            bar.set_postfix(train=f"{row['train_loss']:.4g}", test=f"{row['test_loss']:.4g}", refresh=False)
            bar.update()

        yield show


@contextmanager
def counted(name: str, total: int, done: int) -> Iterator[Callable[[], object]]:
    """Show, on a terminal only, how many trials are done, and about how long the rest takes."""
    with tqdm(desc=name, total=total, initial=done, unit="trial", disable=None, leave=False) as bar:
        yield bar.update
