"""models/RUN.safetensors, metrics, data → export/RUN.onnx, export/RUN.json, export/RUN.md."""

from descent.export.card import Measured, model_card
from descent.export.onnx import compare, export, mean_border
from descent.io.datasets import load_dataset
from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, PARAMS, attack_metrics, dataset, exported, train_metrics, weights
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics
from descent.models.machine import make_deterministic
from descent.models.networks import load_model
from stages.program import stage


def main(name: str) -> None:
    """Export one of the classifiers, compare it with the original on every test image, and write its card."""
    params = load_params(PARAMS)
    run, evaluation = params.train[name], params.evaluation
    make_deterministic(params.threads)
    data, trained, attacked = map(load_metrics, (DATA_METRICS, train_metrics(name), attack_metrics(name)))
    train, test, classes = load_dataset(dataset(run.data), data[f"sha256_{run.data}"])
    model = load_model(weights(name), run.model, test.x.shape[1:], len(classes), trained["sha256_model"])
    path = exported(name, "onnx")
    size = (data["height"], data["width"])
    export(model, path, size, classes, mean_border(train.x), f"{name} of descent, trained on {data['source']}")
    found = compare(model, path, test.x, evaluation.batch_size)
    save_metrics(exported(name, "json"), found)
    measured = Measured(data, trained, attacked, found)
    save_text(exported(name, "md"), model_card(name, run, evaluation, params.attack.bench, measured))


if __name__ == "__main__":
    stage(main)
