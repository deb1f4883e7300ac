"""params.yaml, data/raw/ → data/images.safetensors, data/diabetes.safetensors, metrics/data.json."""

import json

import torch

from descent.io.layout import DATA_METRICS, PARAMS, RAW, SOURCE, dataset
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics
from descent.io.tensors import save_tensors
from descent.sources.diabetes import diabetes
from descent.sources.digests import verify_raw
from descent.sources.raw import read_raw
from stages.program import stage


def main() -> None:
    """Turn the raw files into tensors, and the diabetes data into a standardised training and test part."""
    params = load_params(PARAMS)
    recorded = load_metrics(SOURCE)
    source, found = recorded["source"], verify_raw(RAW, recorded)

    classes = recorded["classes"]
    images = read_raw(RAW, len(classes))
    table = diabetes(params.data.diabetes_test_share, torch.Generator().manual_seed(params.seed))

    kept = {
        "images": save_tensors(dataset("images"), images, {"classes": json.dumps(classes)}),
        "diabetes": save_tensors(dataset("diabetes"), table),
    }
    _, height, width = images["train_images"].shape
    patients, columns = table["train_x"].shape
    save_metrics(
        DATA_METRICS,
        {
            "source": source,
            "train_images": len(images["train_labels"]),
            "test_images": len(images["test_labels"]),
            "height": height,
            "width": width,
            "classes": len(classes),
            "class_names": classes,
            "diabetes_train": patients,
            "diabetes_test": len(table["test_y"]),
            "diabetes_features": columns,
        }
        | found
        | {f"sha256_{name}": digest for name, digest in kept.items()},
    )


if __name__ == "__main__":
    stage(main)
