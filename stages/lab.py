"""params.yaml, metrics/data.json, data/images.safetensors, data/attacked/ → report/lab.html."""

from descent.io.datasets import load_dataset
from descent.io.files import save_text
from descent.io.layout import DATA_METRICS, PARAMS, REPORT, RunFiles, dataset
from descent.io.params import load_params
from descent.io.results import load_metrics
from descent.report.lab import lab_page
from descent.robustness.classifier import load_classifier
from stages.program import stage


def main() -> None:
    """Write the page on which a browser runs the attacked classifiers."""
    params, images = load_params(PARAMS), load_dataset(dataset("images"))
    files = {name: RunFiles(name) for name in params.attack.runs}
    models = {run: load_classifier(each.attacked_classifier, images.test.x.shape[1:]) for run, each in files.items()}
    source = load_metrics(DATA_METRICS)["source"]
    save_text(REPORT.with_name("lab.html"), lab_page(models, *images.test, images.classes, source))


if __name__ == "__main__":
    stage(main)
