"""A revision or an experiment, and the work tree → report/compare.html."""

import shlex
import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import resolve_rev
from pygit2 import GitError
from scmrepo.exceptions import SCMError

from descent.io.errors import DataError
from descent.io.files import save_text
from descent.io.results import parse_metrics
from descent.report.comparison import Revision, comparison
from stages.program import command

PAGE = Path("report/compare.html")
FOLDERS = ("metrics", "plots/curves", "plots/attack")  # of files that git keeps


def contents(repo: Repo, revision: str | None) -> dict[str, bytes]:
    """Read the metrics and curves of a revision from git; None: of the work tree."""
    here = Path(repo.root_dir)
    files = repo.fs
    if revision:
        files = repo.scm.get_fs(resolve_rev(repo.scm, revision))
        here = here.relative_to(repo.scm.root_dir)  # not the same where the project is a folder of another repository
    paths = [path for folder in FOLDERS for path in files.find((here / folder).as_posix())]
    return {Path(path).relative_to(here).as_posix(): files.cat_file(path) for path in paths}


def read(repo: Repo, revision: str | None) -> Revision:
    """Read what a revision has in its folders; None: the work tree."""
    found = contents(repo, revision)
    return Revision(
        name=revision or "workspace",
        metrics={path: parse_metrics(path, text) for path, text in found.items() if path.endswith(".json")},
        curves={path: pd.read_csv(BytesIO(text)) for path, text in found.items() if path.endswith(".csv")},
    )


def main(revision: str) -> None:
    """Compare the work tree with a branch, a tag, a commit or an experiment."""
    try:
        repo = Repo()
        old, new = read(repo, revision), read(repo, None)
        changed = {
            kind: getattr(repo, kind).diff(revision, "workspace").get("diff", {}) for kind in ("params", "metrics")
        }
    except (DvcException, SCMError, GitError) as error:
        remedy = "`git branch` and `dvc exp list` name what there is"
        if "not owned" in str(error):
            remedy = f"`git config --global --add safe.directory {shlex.quote(str(Path.cwd()))}` lets git read it"
        raise DataError(f"cannot read {revision!r}: {error}; {remedy}") from error
    if "metrics/data.json" not in old.metrics:
        raise DataError(f"{revision} has no metrics/data.json: no results are committed there")
    save_text(PAGE, comparison(old, new, changed["params"], changed["metrics"]))
    sys.stdout.write(f"{PAGE.resolve().as_uri()}\n")


if __name__ == "__main__":
    command(main)
