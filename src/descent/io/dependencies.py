"""Read what DVC knows of a stage: its dependencies by dvc.yaml, and the MD5 of every output by dvc.lock."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, flock
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LOCK = Path("dvc.lock")


class Declared(NamedTuple):
    """Patterns of the inputs and outputs of a stage, and the values of its parameters by `FILE: NAME`."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    parameters: dict[str, object]


def declared(address: str) -> Declared:
    """Return what a dvc.yaml lists for a stage.

    Args:
        address: As in DVC's variable DVC_STAGE: `train@mlp`, or `studies/dvc.yaml:study@NAME`. Paths are relative to
            the root of the checkout.
    """
    load = cache(lambda path: YAML(typ="safe").load(Path(path).read_bytes()))
    pipeline, _, name = address.rpartition(":")
    kind, _, key = name.partition("@")
    stage: dict[str, Any] = load(pipeline or "dvc.yaml")["stages"][kind]
    stage = stage.get("do", stage)

    def filled(text: str) -> str:
        return re.sub(r"\$\{[\w.]+\}", "*", re.sub(r"\$\{\w+\}", key, text))

    def paths(*sections: str) -> list[str]:
        listed = [path for section in sections for path in stage.get(section, [])]
        return [filled(next(iter(path)) if isinstance(path, dict) else path) for path in listed]

    parameters = dict[str, object]()
    for each in stage.get("params", []):
        file, names = next(iter(each.items())) if isinstance(each, dict) else ("params.yaml", [each])
        for name in map(filled, names):
            parameters[f"{file}: {name}"] = reduce(lambda section, part: section[part], name.split("."), load(file))
    return Declared(paths("deps"), paths("outs", "metrics", "plots"), parameters)


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Return whether a path is one of these, or lies in one of these folders."""
    shapes = (re.escape(pattern).replace(r"\*", "[^/]*") for pattern in patterns)
    return any(re.fullmatch(f"{shape}(/.*)?", path) for shape in shapes)


def below(paths: Iterable[str]) -> set[Path]:
    """Return every file and folder in these folders."""
    return {found for path in paths for found in Path(path).rglob("*")}


def ignored(path: Path) -> bool:
    """Return whether .dvcignore excludes a file."""
    return _ignored().match_file(path)


@cache
def _ignored() -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # imported here as most stages need it not

    return GitIgnoreSpec.from_lines(Path(".dvcignore").read_text(encoding="utf-8").splitlines())


def locked_outputs(lock: Path = LOCK) -> dict[str, str]:
    """Return the MD5 of every output by its path, as a dvc.lock has it; empty without that file."""
    if not lock.exists():
        return {}
    with Path(".dvc/tmp/lock").open("a") as file:
        with suppress(OSError):  # some network file systems know no locks
            flock(file, LOCK_EX)  # another DVC may be writing dvc.lock
        content = lock.read_text(encoding="utf-8")
    # The lists of outputs alone, which DVC indents all alike: the whole file takes five times as long.
    lists = re.findall(r"^    outs:\n((?:    [- ] .*\n)+)", content, re.MULTILINE)
    return {out["path"]: out["md5"] for out in YAML(typ="safe").load("".join(lists)) or []}


def md5(path: Path) -> str:
    """Return the MD5 by which DVC knows a file, or a folder."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = sorted(file for file in below([str(path)]) if file.is_file() and not ignored(file))
    listed = [{"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"
