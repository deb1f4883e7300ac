"""Two revisions on one page: verdicts, curves over each other, and every parameter and metric that differs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from descent.report.claims import claims
from descent.report.figures import overlay
from descent.report.page import first_warning, templates
from descent.report.style import DIABETES, data_label, svg
from descent.report.tables import Table
from descent.report.verdict import Claim
from descent.sources.published import warning

Differences = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Revision(NamedTuple):
    """The metrics and curves of a revision."""

    name: str
    metrics: Mapping[str, Mapping[str, Any]]  # by path, as metrics/train/mlp.json
    curves: Mapping[str, pd.DataFrame]  # by path, as plots/curves/mlp.csv


def comparison(old: Revision, new: Revision, params: Differences, metrics: Differences) -> str:
    """Write the page.

    Args:
        old: The revision to compare with.
        new: The revision that is compared.
        params: The parameters that differ, by file and name: `old`, `new`.
        metrics: The same for metrics, with `diff` where both are numbers.

    Returns:
        Self-contained HTML.
    """
    return (
        templates()
        .get_template("comparison.html")
        .render(
            old=old.name,
            new=new.name,
            warning=first_warning(warning(revision.metrics["metrics/data.json"]["source"]) for revision in (old, new)),
            verdicts=verdicts(old, new),
            params=_table(params, (old.name, new.name)),
            metrics=_table(metrics, (old.name, new.name, "change")),
            figures={name: svg(figure) for name, figure in overlays(old, new)},
        )
    )


def verdicts(old: Revision, new: Revision) -> list[tuple[Claim | None, Claim]] | None:
    """Pair each claim of the new revision with the old one's; None where the old one lacks the metrics for it."""
    try:
        before = {claim.says: claim for claim in judged(old)}
    except KeyError:
        return None
    return [(before.get(claim.says), claim) for claim in judged(new)]


def judged(revision: Revision) -> list[Claim]:
    """Judge every claim by the metrics of one revision.

    Raises:
        KeyError: A metric is missing: the revision is older than the rule.
    """
    groups: dict[str, dict[str, Mapping[str, Any]]] = {"train": {}, "attack": {}}
    for path, metrics in revision.metrics.items():
        name = PurePosixPath(path)
        if name.parent.name in groups:
            groups[name.parent.name][name.stem] = metrics
    source = revision.metrics["metrics/data.json"]["source"]
    return claims(source, revision.metrics["metrics/theory.json"], groups["train"], groups["attack"])


def overlays(old: Revision, new: Revision) -> Iterator[tuple[str, Figure]]:
    """Draw every curve that either revision has: losses and accuracies over epochs, accuracy against ε."""
    for path in sorted({*old.curves, *new.curves}):
        name, both = PurePosixPath(path), [(each.name, each.curves[path]) for each in (old, new) if path in each.curves]
        measured = both[-1][1].columns
        of_images = any(column.endswith("accuracy") for column in measured)
        data = data_label(new.metrics["metrics/data.json"]["source"]) if of_images else DIABETES
        for measure in ("loss", "accuracy"):
            columns = [column for column in measured if column in (measure, f"train_{measure}", f"test_{measure}")]
            if columns:
                figure = overlay(f"{name.stem}: {measure}", columns, both, data)
                yield f"{name.parent.name}-{name.stem}-{measure}", figure


def _table(differences: Differences, columns: Sequence[str]) -> Table:
    rows = [
        (f"{path}: {name}", *(_text(change.get(key)) for key in ("old", "new", "diff")[: len(columns)]))
        for path, changes in sorted(differences.items())
        for name, change in sorted(changes.items())
    ]
    return Table(("name", *columns), rows)


def _text(value: object) -> str:
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
