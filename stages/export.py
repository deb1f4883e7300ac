"""models/RUN.safetensors, metrics, data → export/RUN.onnx, export/RUN.json, export/RUN.md."""

from pathlib import Path

from descent.export.card import Measured, model_card
from descent.export.onnx import compare, export, mean_border
from descent.io.datasets import load_dataset
from descent.io.files import save_text
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics
from descent.models.machine import make_deterministic
from descent.models.networks import load_model
from stages.terminal import stage


def main(name: str) -> None:
    """Export one of the classifiers, hold it to the original on every test image, and write its card."""
    params = load_params(Path("params.yaml"))
    run, evaluation = params.train[name], params.evaluation
    make_deterministic(params.threads)
    data, trained, attacked = (
        load_metrics(Path("metrics", path)) for path in ("data.json", f"train/{name}.json", f"attack/{name}.json")
    )
    train, test, classes = load_dataset(Path(f"data/{run.data}.safetensors"), data[f"sha256_{run.data}"])
    model = load_model(
        Path(f"models/{name}.safetensors"), run.model, test.x.shape[1:], len(classes), trained["sha256_model"]
    )
    path = Path(f"export/{name}.onnx")
    size = (data["height"], data["width"])
    export(model, path, size, classes, mean_border(train.x), f"{name} of descent, trained on {data['source']}")
    found = compare(model, path, test.x, evaluation.batch_size)
    save_metrics(Path(f"export/{name}.json"), found)
    measured = Measured(data, trained, attacked, found)
    save_text(Path(f"export/{name}.md"), model_card(name, run, evaluation, params.attack.bench, measured))


if __name__ == "__main__":
    stage(main)
