"""Every path of the pipelines, relative to the root of the checkout, which is every program's working directory."""

from pathlib import Path

PARAMS, STUDIES = Path("params.yaml"), Path("studies.yaml")
# What a killed program leaves for the next one; not in git, and unknown to DVC.
CHECKPOINTS = Path(".ckpt")

VALIDATED = Path("data/validated.txt")
IMAGES = Path("images")
RAW = Path("data/raw")
SOURCE = RAW / "source.json"
PREPARED = Path("data")
DATA_METRICS, THEORY_METRICS = Path("metrics/data.json"), Path("metrics/theory.json")
TRANSFER_METRICS, TRANSFER_CURVE = Path("metrics/transfer.json"), Path("plots/transfer.csv")
REPORT = Path("report/index.html")
STUDY_PAGE = Path("studies/index.html")


def dataset(name: str) -> Path:
    """Return the prepared data set `images` or `diabetes`."""
    return Path(f"data/{name}.safetensors")


def theory_curve(name: str) -> Path:
    """Return a curve of the theory that DVC plots."""
    return Path(f"plots/theory/{name}.csv")


def theory_table(name: str) -> Path:
    """Return a table of the theory that a figure needs."""
    return Path(f"data/theory/{name}.csv")


def weights(run: str) -> Path:
    """Return the weights after training."""
    return Path(f"models/{run}.safetensors")


def train_metrics(run: str) -> Path:
    """Return the metrics of training."""
    return Path(f"metrics/train/{run}.json")


def learning_curve(run: str) -> Path:
    """Return loss and accuracy after each epoch."""
    return Path(f"plots/curves/{run}.csv")


def attack_metrics(run: str) -> Path:
    """Return the metrics of the attack."""
    return Path(f"metrics/attack/{run}.json")


def fgsm_curve(run: str) -> Path:
    """Return the accuracy under FGSM at each ε."""
    return Path(f"plots/attack/{run}.csv")


def pgd_curve(run: str) -> Path:
    """Return the accuracy under PGD at each ε."""
    return Path(f"plots/pgd/{run}.csv")


def flip_quantiles(run: str) -> Path:
    """Return quantiles of the smallest ε that flips an image, by class."""
    return Path(f"plots/flips/{run}.csv")


def probabilities(run: str) -> Path:
    """Return the class probabilities of one image of each class at each ε."""
    return Path(f"plots/probabilities/{run}.csv")


def confusion(run: str) -> Path:
    """Return the confusion matrix under FGSM."""
    return Path(f"data/confusion/{run}.csv")


def example_images(run: str) -> Path:
    """Return the images that the figures show."""
    return Path(f"data/adversarial/{run}.safetensors")


def adversarial_set(run: str) -> Path:
    """Return all test images after FGSM."""
    return Path(f"data/adversarial-sets/{run}.safetensors")


def attacked_classifier(run: str) -> Path:
    """Return the classifier that was attacked, with its description."""
    return Path(f"data/attacked/{run}.safetensors")


def figure(name: str) -> Path:
    """Return a figure of the report."""
    return Path(f"plots/figures/{name}.svg")


def sheet(name: str) -> Path:
    """Return the images of one run side by side, for the slider of the report."""
    return Path(f"plots/sheets/{name}.png")


def study_results(study: str) -> Path:
    """Return the folder of a study's tables and metrics."""
    return Path(f"studies/results/{study}")


def study_figure(name: str) -> Path:
    """Return a figure of a study."""
    return Path(f"studies/figures/{name}.svg")


def exported(run: str, suffix: str) -> Path:
    """Return the ONNX file of a classifier, its metrics or its card, by suffix: `onnx`, `json`, `md`."""
    return Path(f"export/{run}.{suffix}")
