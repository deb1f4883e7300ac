"""HEAD, cloned and run again in a temporary folder → the differences from the committed results."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from math import inf
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd
import psutil
from ruamel.yaml import YAML

from descent.io.errors import DataError
from descent.io.results import parse_metrics
from descent.sources.digests import digests
from descent.sources.published import FASHION_MNIST, PUBLISHED
from stages.program import command
from tools.tolerance import Difference, differences, largest_changes

IN_GIT = ("metrics", "plots")
RAW, DATA = Path("data/raw"), "metrics/data.json"
# Set by a git hook or by a stage that runs this program; they name another repository than the clone.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "DVC_STAGE", "DVC_ROOT")
# Seconds that child processes have to end after an interruption; `tools.repro` gives its stages ten.
GRACE = 20.0


class Outputs(NamedTuple):
    """The outputs of a run: the MD5 of those in DVC's cache, and the bytes of those in git."""

    cached: Mapping[str, str]
    files: Mapping[str, bytes]


class Comparison(NamedTuple):
    """A line for each difference, and a last line with the conclusion."""

    lines: Sequence[str]
    verified: bool


def read(folder: Path) -> Outputs:
    """Read the outputs of a repository from its dvc.lock, metrics/ and plots/."""
    lock = YAML(typ="safe").load((folder / "dvc.lock").read_text(encoding="utf-8"))
    outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
    files = (path for name in IN_GIT for path in (folder / name).rglob("*") if path.is_file())
    return Outputs(
        {out["path"]: out["md5"] for out in outs if Path(out["path"]).parts[0] not in IN_GIT},
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in files},
    )


def compared(old: Outputs, new: Outputs) -> Comparison:
    """Compare the committed outputs with new ones."""
    if other := other_data(old.files[DATA], new.files[DATA]):
        return other
    before: dict[str, str | bytes] = {**old.cached, **old.files}
    after: dict[str, str | bytes] = {**new.cached, **new.files}
    paths = sorted(before | after)
    differing = [path for path in paths if before.get(path) != after.get(path)]
    lines, failed = [f"{len(paths) - len(differing)} outputs identical"], 0
    for path in differing:
        for line, harmless in output_differences(path, before.get(path), after.get(path)):
            lines.append(f"{path}: {line}")
            failed += not harmless
    if failed:
        last = f"NOT VERIFIED: {failed} of these differences {'is' if failed == 1 else 'are'} too large"
    elif differing:
        last = (
            f"verified within tolerance: {len(differing)} outputs have other bytes, and every metric is as near as "
            "another processor or thread count would bring it"
        )
    else:
        last = "verified: every byte is the committed one"
    return Comparison([*lines, last], verified=not failed)


def other_data(old: bytes, new: bytes) -> Comparison | None:
    """Compare the metrics of the data, committed and new; None: the data are the same."""
    lines = [f"{DATA}: {line}" for line, harmless in metrics_differences(DATA, old, new) if not harmless]
    last = (
        "NOT VERIFIED: the images are not the committed ones, and numbers from other images cannot be compared; "
        "DESCENT_MIRROR says where the right ones are"
    )
    return Comparison([*lines, last], verified=False) if lines else None


def output_differences(path: str, old: str | bytes | None, new: str | bytes | None) -> list[tuple[str, bool]]:
    """Return a line for each difference of an output, and whether it is harmless."""
    if new is None:
        return [("MISSING: it is committed, and nothing makes it", False)]
    if old is None:
        return [("SURPLUS: it was made, and is not committed", False)]
    found: list[tuple[str, bool]] = []
    if isinstance(old, bytes) and isinstance(new, bytes):
        if path.endswith(".json"):
            found = metrics_differences(path, old, new)
        elif path.endswith(".csv"):
            found = table_differences(old, new)
    return found or [("differs", True)]


def metrics_differences(path: str, old: bytes, new: bytes) -> list[tuple[str, bool]]:
    """Return a line for each metric that differs, and whether it is within tolerance."""
    return [(words(each), each.within) for each in differences(parse_metrics(path, old), parse_metrics(path, new))]


def words(difference: Difference) -> str:
    """Describe the difference of a metric."""
    metric, old, new, change, allowed, kind, within = difference
    moved = "" if change is None else f", {change:+.6g}"
    limit = f", at most ±{allowed:.3g}" if allowed and not within else ""
    return f"{metric}: {old} committed, {new} now{moved} ({'' if within else 'TOO LARGE: '}{kind}{limit})"


def table_differences(old: bytes, new: bytes) -> list[tuple[str, bool]]:
    """Return a line for the difference of a table, and whether it is harmless: its columns are the same."""
    before, after = (pd.read_csv(BytesIO(content)) for content in (old, new))
    if list(before.columns) != list(after.columns):
        return [(f"OTHER COLUMNS: {', '.join(before.columns)} committed, {', '.join(after.columns)} now", False)]
    if len(before) != len(after):
        return [(f"{len(before)} rows committed, {len(after)} now", True)]
    changes = {column: change for column, change in largest_changes(before, after).items() if change}
    shown = (f"{column} {'in words' if change == inf else f'{change:.2%}'}" for column, change in changes.items())
    return [(f"differs, at most by this much of a column's largest value: {', '.join(shown)}", True)] if changes else []


def git(*arguments: str) -> str:
    """Run git and return its output.

    Raises:
        DataError: git is not installed, or it fails.
    """
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)  # noqa: S603, S607 - no shell
    except FileNotFoundError as error:
        raise DataError("nothing to verify: git is not installed") from error
    if done.returncode:
        raise DataError(f"nothing to verify: git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def committed() -> str:
    """Return the commit that is checked out here.

    Raises:
        DataError: There is none, or this folder is part of another repository.
    """
    top = git("rev-parse", "--show-toplevel")
    if Path(top).resolve() != Path.cwd().resolve():
        raise DataError(f"nothing to verify: no git history of its own is here, only that of {top}")
    try:
        return git("rev-parse", "--verify", "HEAD")
    except DataError as error:
        raise DataError("nothing to verify: nothing is committed here") from error


def cloned_without_results(commit: str, folder: Path) -> Outputs:
    """Clone this repository at a commit, remove the results from the clone, and return them."""
    git("clone", "--quiet", str(Path.cwd()), str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    if not (folder / "dvc.lock").exists() or not (folder / DATA).exists():
        raise DataError(f"nothing to verify: no results are committed, {DATA} or dvc.lock is missing")
    results = read(folder)
    (folder / "dvc.lock").unlink()
    for name in IN_GIT:
        rmtree(folder / name, ignore_errors=True)
    # The clone has its own empty cache, whatever the user's configuration says: no result comes from another cache.
    (folder / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
    return results


def clone_environment(clone: Path) -> dict[str, str]:
    """Return the environment variables of the clone's programs; the images of this checkout are their mirror."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    if mirror := environment.get("DESCENT_MIRROR") or (str(RAW) if is_real(RAW) else ""):
        # A relative path means a folder of this checkout.
        environment["DESCENT_MIRROR"] = str(Path(mirror).resolve()) if Path(mirror).is_dir() else mirror
    return environment | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
        "TMPDIR": str(clone.parent),  # torch leaves a folder there
    }


def is_real(raw: Path) -> bool:
    """Return whether a folder has the four published files."""
    try:
        return digests(raw) == {f"sha256_{part}": digest for part, digest in PUBLISHED[FASHION_MNIST].sha256.items()}
    except DataError:
        return False


def run(clone: Path, environment: Mapping[str, str], *module: str) -> None:
    """Run a Python module in the clone, and show its output.

    Raises:
        DataError: It fails.
    """
    with subprocess.Popen([sys.executable, "-m", *module], cwd=clone, env=environment) as process:  # noqa: S603
        try:
            status = process.wait()
        except BaseException:
            # The clone is removed next, so its processes must have ended.
            running = list[psutil.Process]()
            with suppress(psutil.NoSuchProcess):
                running = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            process.wait()
            for each in psutil.wait_procs(running, GRACE)[1]:
                each.kill()
            raise
    if status:
        raise DataError(f"what is committed does not run: {' '.join(module)} ended with status {status}, see above")


def say(*lines: str) -> None:
    """Print lines and flush them, before the output of child processes."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main(jobs: str = "") -> None:
    """Run the committed pipeline again, with `jobs` stages at once, and compare the results with the committed ones."""
    commit = committed()
    say(f"commit {commit[:10]} runs again, in a temporary clone")
    if git("status", "--porcelain", "--untracked-files=no"):
        say("the changes in the work tree that are not committed are no part of it")
    with TemporaryDirectory(prefix="descent-verify-") as temporary:
        clone = Path(temporary) / "descent"
        old = cloned_without_results(commit, clone)
        environment = clone_environment(clone)
        # The data first: other data make the rest of the run useless.
        run(clone, environment, "dvc", "repro", "--quiet", "prepare")
        found = other_data(old.files[DATA], (clone / DATA).read_bytes())
        if found is None:
            run(clone, environment, "tools.repro", jobs)
            found = compared(old, read(clone))
    say(*found.lines)
    sys.exit(not found.verified)


if __name__ == "__main__":
    command(main)
