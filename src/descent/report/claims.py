"""The claims of the write-up, each judged by a rule on the metrics: `templates/claims.yaml`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from descent.report.markup import TEMPLATES, templates
from descent.sources.published import FASHION_MNIST, PUBLISHED, title

MetricsByRun = Mapping[str, Mapping[str, Any]]

VERDICTS = {True: "holds", False: "does not hold", None: "not measured"}


class Claim(NamedTuple):
    """A sentence, whether the results support it (None: not measured), and the numbers that decide."""

    section: str
    says: str
    holds: bool | None
    shows: str
    ours: bool = False  # not a claim of the write-up, but checked as well

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return VERDICTS[self.holds]


def claims(source: str, theory: Mapping[str, Any], trained: MetricsByRun, attacked: MetricsByRun) -> list[Claim]:
    """Judge every claim, in the order of the write-up, by `metrics/theory.json` and `metrics/{train,attack}/RUN.json`.

    A claim is not measured if its run is missing or diverged, or if it is about images and the `source` of these in
    `metrics/data.json` is not Fashion-MNIST.
    """
    judged, jinja = list[Claim](), templates()
    table = YAML(typ="safe").load(TEMPLATES / "claims.yaml")
    for rule in table["claims"]:
        section, names = rule["section"], rule.get("runs", [])
        runs = attacked if section == "adversarial" else trained
        why = next(filter(None, (_lacking(runs, name, *table["kinds"][section]) for name in names)), None)
        if names and section != "regression" and source != FASHION_MNIST:
            why = f"The images are {title(source)}; the claim is about {PUBLISHED[FASHION_MNIST].title}."
        holds, shows = None, why
        if shows is None:
            prefix = f"{section.replace('-', '_')}_"
            metrics = runs[names[0]] if names else {name.removeprefix(prefix): m for name, m in theory.items()}
            known = {**metrics, **table["limits"], "runs": runs}
            holds = bool(jinja.compile_expression(rule["holds"])(known))
            shows = jinja.from_string(rule["shows"]).render(known)
        judged.append(Claim(section, rule["says"], holds, shows, rule.get("ours", False)))
    return judged


def _lacking(runs: MetricsByRun, name: str, kind: str, metric: str) -> str | None:
    """Return why a claim about this run cannot be judged, None if it can."""
    if name not in runs:
        return f"There is no {name} here: it was not trained, or not attacked."
    if metric not in runs[name]:
        return f"{name} is no {kind} here."
    return f"{name} diverged in epoch {runs[name]['diverged_epoch']}." if runs[name].get("diverged") else None
