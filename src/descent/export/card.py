"""A model card in the format that model hubs read: what a classifier is, how good it is, and what it is not for."""

from collections.abc import Mapping
from io import StringIO
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from descent.io.run_schema import Evaluation, Run
from descent.io.schema import Bench
from descent.report.page import templates
from descent.sources.published import DRAWN, PUBLISHED, ImageSet, title


class Measured(NamedTuple):
    """What is known of a run."""

    data: Mapping[str, Any]  # metrics/data.json
    trained: Mapping[str, Any]  # metrics/train/RUN.json
    attacked: Mapping[str, Any]  # metrics/attack/RUN.json
    exported: Mapping[str, Any]  # what `compare` found


def model_card(name: str, run: Run, evaluation: Evaluation, bench: Bench, measured: Measured) -> str:
    """Write the card of a classifier (Mitchell et al. 2019, arXiv:1810.03993, for what belongs on one).

    Args:
        name: Of the run.
        run: How it was trained.
        evaluation: How it was measured.
        bench: How it was attacked.
        measured: What came out.

    Returns:
        Markdown after a head in YAML, as Hugging Face's hub reads it.
    """
    data, attacked = measured.data, measured.attacked
    published = PUBLISHED.get(data["source"])
    # The licence follows the images. The garments are this project's, MIT; of a user's own pictures none is known.
    license_of_images = published.license if published else "mit" if data["source"] == DRAWN else None
    return (
        templates()
        .get_template("card.md")
        .render(
            measured._asdict(),
            head=_head(name, data["source"], published, license_of_images, measured.trained["final_test_accuracy"]),
            name=name,
            run=run,
            images=title(data["source"]),
            credit=published.credit if published else None,
            licensed=license_of_images is not None,
            classes=data["class_names"],
            measured=min(evaluation.train_subset, data["train_images"]),
            pgd_images=min(bench.pgd.images, data["test_images"]),
            withstood=[
                (f"{epsilon:g}", attacked[f"accuracy_at_{epsilon:g}"], attacked.get(f"pgd_accuracy_at_{epsilon:g}"))
                for epsilon in bench.epsilons
            ],
        )
    )


def _head(
    name: str, source: str, published: ImageSet | None, license_of_images: str | None, test_accuracy: float
) -> str:
    hub = published.hub if published else None
    dataset = {"type": hub or source, "name": title(source), "split": "test"}
    accuracy = {"type": "accuracy", "value": test_accuracy}
    head: dict[str, Any] = {
        "license": license_of_images,
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": [source, "adversarial-robustness"],
        "datasets": [hub] if hub else None,
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": name,
                "results": [
                    {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": [accuracy]},
                ],
            }
        ],
    }
    written, yaml = StringIO(), YAML()
    yaml.dump({name: value for name, value in head.items() if value is not None}, written)
    return written.getvalue()
