"""What a stage takes from the command line and says on the terminal."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache, reduce, wraps
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tqdm import tqdm

from stages.ending import raise_when_interrupted, said, status

# What a killed program leaves for the next; not of DVC's, and in no repository.
KEPT = Path(".ckpt")
ROOT = Path(__file__).resolve().parents[1]
PIPELINES = ("dvc.yaml", "studies/dvc.yaml", "export/dvc.yaml")
CODE = ("src/", "stages/")


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
        with locked("@".join([Path(sys.argv[0]).stem, *names])), unchanged(os.environ.get("DVC_STAGE", "")):
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
def unchanged(stage: str) -> Iterator[None]:
    """Let a stage of this name fail if what DVC records of it, once it has ended, is not what it ran with.

    Raises:
        DataError: A file of code or a parameter of the stage changed meanwhile, or the stage ran a file of ours that is
            not among its dependencies.
    """
    if not stage:  # not run by DVC, which records nothing then
        yield
        return
    before = recorded(stage)
    yield
    from descent.io.errors import DataError

    after = recorded(stage)
    if changed := [name for name in before | after if before.get(name) != after.get(name)]:
        raise DataError(
            f"{changed[0]} changed while {stage} ran; so that DVC records no result of the state before under the new "
            "one, the stage fails here: run it again"
        )
    files = (Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None)))
    ours = {file.relative_to(ROOT).as_posix() for file in files if file.is_relative_to(ROOT)}
    if unlisted := [file for file in sorted(ours) if file.startswith(CODE) and file not in after]:
        raise DataError(
            f"{unlisted[0]} is no dependency of {stage}, which ran it, and DVC would not notice a change of it; "
            "add it to the deps of the stage in its dvc.yaml"
        )


def recorded(stage: str) -> dict[str, object]:
    """Return a digest of each file of code and the value of each parameter that a stage depends on by its dvc.yaml."""
    from ruamel.yaml import YAML

    @cache
    def load(path: str) -> Any:  # noqa: ANN401 - whatever YAML holds
        return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))

    kind, _, key = stage.rpartition(":")[2].partition("@")
    entries = [load(pipeline)["stages"].get(kind, {}) for pipeline in PIPELINES]
    entry: dict[str, Any] = next(filter(None, entries), {})
    entry = entry.get("do", entry)
    found = dict[str, object]()
    for dependency in entry.get("deps", []):
        for file in [Path(dependency), *Path(dependency).rglob("*")] if dependency.startswith(CODE) else ():
            if file.is_file() and file.suffix != ".pyc":
                found[file.as_posix()] = sha256(file.read_bytes()).hexdigest()
    for each in entry.get("params", []):
        source, names = next(iter(each.items())) if isinstance(each, dict) else ("params.yaml", [each])
        for name in (re.sub(r"\$\{\w+\}", key, name) for name in names):
            found[f"{source}: {name}"] = reduce(lambda section, part: section[part], name.split("."), load(source))
    return found


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
