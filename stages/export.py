"""models/RUN.safetensors, metrics, data → export/RUN.onnx, export/RUN.json, export/RUN.md."""

from descent.export.card import model_card
from descent.export.onnx import compare, export, mean_border
from descent.io.datasets import load_dataset
from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, PARAMS, RunFiles, dataset
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
    files = RunFiles(name)
    data, trained, attacked = map(load_metrics, (DATA_METRICS, files.train_metrics, files.attack_metrics))
    train, test, classes = load_dataset(dataset(run.data))
    model = load_model(files.weights, run.model, test.x.shape[1:], len(classes))
    size = (data["height"], data["width"])
    export(model, files.onnx, size, classes, mean_border(train.x), f"{name} of descent, trained on {data['source']}")
    found = compare(model, files.onnx, test.x, evaluation.batch_size)
    save_metrics(files.onnx_metrics, found)
    measured = {"data": data, "trained": trained, "attacked": attacked, "exported": found}
    save_text(files.card, model_card(name, run, evaluation, params.attack.bench, measured))


if __name__ == "__main__":
    stage(main)
