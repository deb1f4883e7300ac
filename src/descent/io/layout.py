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
THEORY_CURVES, THEORY_TABLES = Path("plots/theory"), Path("data/theory")  # DVC plots the curves
TRANSFER_METRICS, TRANSFER_CURVE = Path("metrics/transfer.json"), Path("plots/transfer.csv")
FIGURES, SHEETS = Path("plots/figures"), Path("plots/sheets")
REPORT = Path("report/index.html")
STUDY_RESULTS, STUDY_FIGURES = Path("studies/results"), Path("studies/figures")
STUDY_PAGE, STUDY_LOCK = Path("studies/index.html"), Path("studies/dvc.lock")


def dataset(name: str) -> Path:
    """Return the prepared data set `images` or `diabetes`."""
    return PREPARED / f"{name}.safetensors"


class RunFiles:
    """The files of a run under `train` in params.yaml."""

    def __init__(self, run: str) -> None:
        self.weights = Path(f"models/{run}.safetensors")
        self.train_metrics = Path(f"metrics/train/{run}.json")
        self.learning_curve = Path(f"plots/curves/{run}.csv")
        # The attack: metrics; accuracy under FGSM and PGD, certified accuracy, quantiles of flipping ε by class, class
        # probabilities of an image of each class, all against ε; the confusion matrix under FGSM; images for figures.
        self.attack_metrics = Path(f"metrics/attack/{run}.json")
        self.fgsm_curve = Path(f"plots/attack/{run}.csv")
        self.pgd_curve = Path(f"plots/pgd/{run}.csv")
        self.certified_curve = Path(f"plots/certified/{run}.csv")
        self.flip_quantiles = Path(f"plots/flips/{run}.csv")
        self.probabilities = Path(f"plots/probabilities/{run}.csv")
        self.confusion = Path(f"data/confusion/{run}.csv")
        self.example_images = Path(f"data/adversarial/{run}.safetensors")
        # For `transfer`: all test images after FGSM, and the classifier with its description.
        self.adversarial_set = Path(f"data/adversarial-sets/{run}.safetensors")
        self.attacked_classifier = Path(f"data/attacked/{run}.safetensors")
        # Studies of a single classifier.
        self.autoattack = Path(f"studies/autoattack/{run}.csv")
        self.verification = Path(f"studies/verification/{run}.csv")
        self.onnx, self.onnx_metrics, self.card = (Path(f"export/{run}.{suffix}") for suffix in ("onnx", "json", "md"))
