"""HEAD, cloned and run again in a temporary folder → the differences from the committed results."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from descent.io.errors import DataError
from descent.io.layout import RAW
from descent.io.results import parse_metrics
from stages.program import command

# How far a classifier's metrics may be from the committed ones, absolute and relative, by the first pattern that fits:
# training in float32 amplifies rounding. After each limit, the largest difference that two runs of the whole pipeline,
# with AVX-512 and with ATen's plain code, had from the results with AVX2; the limits are two to five times that.
TOLERANCES = {
    r"^bag_(index|epsilon)$|^best_epoch$": (inf, 0.0),  # extremes of many similar values: 68 %
    r"^bag_": (0.25, 0.0),  # 0.12
    r"^(best|final|clean|generalization)\w*_(accuracy|confidence)$|^accuracy_at_0$": (0.02, 0.0),  # 0.0058
    r"accuracy|^(pgd|certified)_|_on_": (0.1, 0.0),  # under attack: 0.049
    r"^share_of_epochs": (0.2, 0.0),  # 0.091
    r"share|_mean_change$": (0.06, 0.0),  # 0.023
    r"_loss$": (0.02, 0.1),  # 15 % of 0.054; at most 5 % of losses beyond 0.1
    r"_deviation$": (0.08, 0.0),  # 0.027
    r"_epsilon$": (0.0, 0.15),  # 5 %
    r"_epoch$": (5.0, 0.0),  # 1
}
EXACT = (1e-12, 1e-5)  # of all other floats, which kept their six digits
NO_RESULTS, TOO_LARGE = ("torch", "device"), " (TOO LARGE)"
IN_GIT, DATA = ("metrics", "plots"), "metrics/data.json"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each metric that differs, with TOO_LARGE at its end if that is beyond the tolerance."""
    classifier = any("accuracy" in name or name == "failed_checks" for name in old)
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name, "(absent)"), new.get(name, "(absent)")
        numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (before, after))
        if before == after and (numbers or type(before) is type(after)):
            continue
        limits = [limit for pattern, limit in TOLERANCES.items() if classifier and re.search(pattern, name)]
        absolute, relative = [*limits, (0.0, 0.0) if isinstance(before, int) else EXACT][0]
        within = numbers and abs(after - before) <= absolute + relative * abs(before)
        yield f"{name}: {before} committed, {after} now{'' if within or name in NO_RESULTS else TOO_LARGE}"


def read(folder: Path) -> dict[str, Any]:
    """Read the outputs of a repository: the MD5 of those in DVC's cache, the bytes of those in git, by path."""
    stages = YAML(typ="safe").load((folder / "dvc.lock").read_bytes())["stages"].values()
    outputs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    files = [path for name in IN_GIT for path in (folder / name).rglob("*") if path.is_file()]
    in_git = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {path: md5 for path, md5 in outputs.items() if not path.startswith(IN_GIT)} | in_git


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each difference of outputs as `read` returns them."""
    for path in sorted(path for path in {*old, *new} if old.get(path) != new.get(path)):
        lines = list[str]()
        if path not in new:
            lines = [f"committed, and nothing makes it{TOO_LARGE}"]
        elif path not in old:
            lines = [f"not committed{TOO_LARGE}"]
        elif path.endswith(".json"):
            lines = list(differences(parse_metrics(path, old[path]), parse_metrics(path, new[path])))
        yield from (f"{path}: {line}" for line in lines or ["differs"])


def run(clone: Path, *module: str) -> None:
    """Run a Python module in the clone; raise a DataError if it fails."""
    environment = os.environ | {"TMPDIR": str(clone.parent)}  # torch leaves a folder there
    with subprocess.Popen([sys.executable, "-m", *module], cwd=clone, env=environment) as process:  # noqa: S603
        try:
            status = process.wait()
        finally:
            process.terminate()  # if we are interrupted; the end of the block waits for it
    if status:
        raise DataError(f"what is committed does not run: {' '.join(module)} ended with status {status}, see above")


def main(jobs: str = "") -> None:
    """Run the committed pipeline again, with `jobs` stages at once, and compare the results with the committed ones."""
    with TemporaryDirectory(prefix="descent-verify-") as temporary:
        clone = Path(temporary) / "descent"
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)])  # noqa: S603, S607 - no shell
        if not (clone / "dvc.lock").exists():
            raise DataError("nothing to verify: this folder is no git repository in which results are committed")
        old = read(clone)
        (clone / "dvc.lock").unlink()
        for name in IN_GIT:
            rmtree(clone / name)
        # Whatever cache the user configured: no result comes from there.
        (clone / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
        if RAW.exists():  # what is right of it is not downloaded again
            copytree(RAW, clone / RAW)
        run(clone, "stages.download")
        run(clone, "stages.prepare")
        # No other number of other images can be compared.
        if lines := list(compared({DATA: old.get(DATA, b"{}")}, {DATA: (clone / DATA).read_bytes()})):
            print(*lines, sep="\n")
            raise DataError("NOT VERIFIED: the images are not the committed ones; DESCENT_MIRROR says where those are")
        run(clone, "tools.repro", jobs)
        new = read(clone)
    lines = list(compared(old, new))
    print(f"{len(old.items() & new.items())} outputs identical", *lines, sep="\n")
    if failed := sum(line.endswith(TOO_LARGE) for line in lines):
        raise DataError(f"NOT VERIFIED: {failed} of these differences are too large")
    print("verified:", "the others are within tolerance" if lines else "every byte is the committed one")


if __name__ == "__main__":
    command(main)
