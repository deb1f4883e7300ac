"""A revision or an experiment, and the work tree → report/compare.html."""

import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from scmrepo.exceptions import SCMError

from descent.comparison import Revision, comparison
from descent.errors import DataError
from descent.files import parse_metrics, save_text
from stages.terminal import command

PAGE = Path("report/compare.html")


def read(revision: str | None) -> Revision:
    """Read the metrics and curves of a revision; None: of the work tree."""
    files = DVCFileSystem(".", rev=revision)
    paths = [path for folder in ("metrics", "plots/curves", "plots/attack") for path in files.find(folder)]
    contents = {path: files.read_bytes(path) for path in paths}
    return Revision(
        name=revision or "workspace",
        metrics={path: parse_metrics(path, text) for path, text in contents.items() if path.endswith(".json")},
        curves={path: pd.read_csv(BytesIO(text)) for path, text in contents.items() if path.endswith(".csv")},
    )


def main(revision: str) -> None:
    """Compare the work tree with a branch, a tag, a commit or an experiment."""
    try:
        repo = Repo()
        old, new = read(revision), read(None)
        changed = {
            kind: getattr(repo, kind).diff(revision, "workspace").get("diff", {}) for kind in ("params", "metrics")
        }
    except (DvcException, SCMError) as error:
        raise DataError(
            f"cannot read {revision!r}: {error}; `git branch` and `dvc exp show` list what there is"
        ) from error
    if "metrics/data.json" not in old.metrics:
        raise DataError(f"{revision} has no metrics/data.json: it is older than the first results")
    save_text(PAGE, comparison(old, new, changed["params"], changed["metrics"]))
    sys.stdout.write(f"{PAGE.resolve().as_uri()}\n")


if __name__ == "__main__":
    command(main)
