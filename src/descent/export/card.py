"""A model card in the format that model hubs read: what a classifier is, how good it is, and what it is not for."""

from collections.abc import Mapping
from io import StringIO
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from descent.io.run_schema import Evaluation, Run
from descent.io.schema import Bench
from descent.report.markup import templates
from descent.sources.published import DRAWN, PUBLISHED, title


class Measured(NamedTuple):
    """What is known of a run."""

    data: Mapping[str, Any]  # metrics/data.json
    trained: Mapping[str, Any]  # metrics/train/RUN.json
    attacked: Mapping[str, Any]  # metrics/attack/RUN.json
    exported: Mapping[str, Any]  # what `compare` found


def model_card(name: str, run: Run, evaluation: Evaluation, bench: Bench, measured: Measured) -> str:
    """Write the card of a classifier (Mitchell et al. 2019, arXiv:1810.03993) as Hugging Face's hub reads it.

    That is Markdown after a head in YAML.
    """
    source, card, head = measured.data["source"], templates().get_template("card.md"), StringIO()
    published, task = PUBLISHED.get(source), "image-classification"
    # The licence follows the images. The garments are this project's, MIT; of a user's own pictures none is known.
    identifier = published.license if published else "mit" if source == DRAWN else None
    hub = published.hub if published else None
    dataset = {"type": hub or source, "name": title(source), "split": "test"}
    accuracy = {"type": "accuracy", "value": measured.trained["final_test_accuracy"]}
    result = {"task": {"type": task}, "dataset": dataset, "metrics": [accuracy]}
    entries = {
        **({"license": identifier} if identifier else {}),
        "library_name": "onnx",
        "pipeline_tag": task,
        "tags": [source, "adversarial-robustness"],
        **({"datasets": [hub]} if hub else {}),
        "metrics": ["accuracy"],
        "model-index": [{"name": name, "results": [result]}],
    }
    YAML().dump(entries, head)
    known = measured._asdict() | {"name": name, "run": run, "evaluation": evaluation, "bench": bench}
    words = {"images": title(source), "published": published, "identifier": identifier, "head": head.getvalue()}
    return f"{card.render(known, **words)}\n"
