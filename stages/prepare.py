"""params.yaml, data/raw/ → data/images.safetensors, data/diabetes.safetensors, metrics/data.json."""

import json

import torch

from descent.io.layout import DATA_METRICS, PARAMS, RAW, SOURCE, dataset
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics
from descent.io.tensors import save_tensors
from descent.sources.diabetes import diabetes
from descent.sources.raw import read_raw
from stages.program import stage


def main() -> None:
    """Turn the raw files into tensors, and the diabetes data into a standardised training and test part."""
    params, recorded = load_params(PARAMS), load_metrics(SOURCE)
    images, classes = read_raw(RAW, recorded)
    table = diabetes(params.data.diabetes_test_share, torch.Generator().manual_seed(params.seed))

    save_tensors(dataset("images"), images, {"classes": json.dumps(classes)})
    save_tensors(dataset("diabetes"), table)
    metrics = {
        "source": recorded["source"],
        "train_images": len(images["train_labels"]),
        "test_images": len(images["test_labels"]),
        "height": images["train_images"].shape[1],
        "width": images["train_images"].shape[2],
        "classes": len(classes),
        "class_names": classes,
        "diabetes_train": len(table["train_y"]),
        "diabetes_test": len(table["test_y"]),
        "diabetes_features": table["train_x"].shape[1],
    }
    save_metrics(DATA_METRICS, metrics)


if __name__ == "__main__":
    stage(main)
