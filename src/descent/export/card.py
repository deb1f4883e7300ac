"""A model card in the format that model hubs read: what a classifier is, how good it is, and what it is not for."""

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from descent.io.run_schema import Evaluation, Run
from descent.io.schema import Bench
from descent.report.markup import templates
from descent.sources.published import DRAWN, PUBLISHED, title


def model_card(
    name: str, run: Run, evaluation: Evaluation, bench: Bench, measured: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write the card of a classifier (Mitchell et al. 2019, arXiv:1810.03993) as Hugging Face's hub reads it.

    That is Markdown after a head in YAML. `measured` has the metrics of `data`, of the run as `trained` and as
    `attacked`, and, as `exported`, what `compare` found.
    """
    source = measured["data"]["source"]
    published = PUBLISHED.get(source)
    # The licence follows the images. The garments are this project's, MIT; of a user's own pictures none is known.
    identifier = published.license if published else "mit" if source == DRAWN else None
    quoted = name if YAML(typ="safe").load(name) == name else f"'{name}'"  # a name may look like a number
    known = {"name": name, "run": run, "evaluation": evaluation, "bench": bench, "quoted": quoted}
    words = {"images": title(source), "published": published, "identifier": identifier}
    return f"{templates().get_template('card.md').render(measured, **known, **words)}\n"
