"""Every path of the pipelines, relative to the root of the checkout, which is every program's working directory."""

from pathlib import Path

PARAMS, STUDIES = Path("params.yaml"), Path("studies.yaml")
# What a killed program leaves for the next one; not in git, and unknown to DVC.
CHECKPOINTS = Path(".ckpt")

VALIDATED = Path("data/validated.txt")
PICTURES = Path("images")
RAW = Path("data/raw")
SOURCE = Path("data/raw/source.json")
PREPARED = Path("data")
DATA_METRICS, THEORY_METRICS = Path("metrics/data.json"), Path("metrics/theory.json")
THEORY_CURVES, THEORY_TABLES = Path("plots/theory"), Path("data/theory")
TRANSFER_METRICS, TRANSFER_CURVE = Path("metrics/transfer.json"), Path("plots/transfer.csv")
FIGURES, SHEETS = Path("plots/figures"), Path("plots/sheets")
REPORT = Path("report/index.html")
STUDY_FIGURES, STUDY_PAGE = Path("studies/figures"), Path("studies/index.html")


def dataset(name: str) -> Path:
    """Return the prepared data set `images` or `diabetes`."""
    return Path(f"data/{name}.safetensors")


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


def pictures(run: str) -> Path:
    """Return the images that the figures show."""
    return Path(f"data/adversarial/{run}.safetensors")


def adversarial_set(run: str) -> Path:
    """Return all test images after FGSM."""
    return Path(f"data/adversarial-sets/{run}.safetensors")


def attacked_classifier(run: str) -> Path:
    """Return the classifier that was attacked, with its description."""
    return Path(f"data/attacked/{run}.safetensors")


def study_results(study: str) -> Path:
    """Return the folder of a study's tables and metrics."""
    return Path(f"studies/results/{study}")


def exported(run: str, suffix: str) -> Path:
    """Return the ONNX file of a classifier, its metrics or its card, by suffix: `onnx`, `json`, `md`."""
    return Path(f"export/{run}.{suffix}")
