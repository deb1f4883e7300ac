"""The diabetes data of scikit-learn, split and standardised."""

import torch
from jaxtyping import Float64
from sklearn.datasets import load_diabetes
from torch import Tensor


def diabetes(test_share: float, rng: torch.Generator) -> dict[str, Float64[Tensor, "n columns"]]:
    """Split 442 patients at random and standardise their ten measurements.

    Each column gets mean 0 and standard deviation 1 over the training set. The test set is shifted and scaled by the
    same numbers, so training uses no information from it. Data: Efron, Hastie, Johnstone & Tibshirani 2004, "Least
    Angle Regression", §1.

    Returns:
        `train_x`, `test_x` (n × 10, without unit) and `train_y`, `test_y` (n × 1, progression of the disease
        after one year, 25 to 346).
    """
    features, targets = (torch.from_numpy(array) for array in load_diabetes(return_X_y=True, scaled=False))
    order = torch.randperm(len(features), generator=rng)
    test, train = order.tensor_split([round(test_share * len(order))])
    mean, deviation = features[train].mean(dim=0), features[train].std(dim=0, correction=0)
    standardised = (features - mean) / deviation
    return {
        "train_x": standardised[train],
        "train_y": targets[train, None],
        "test_x": standardised[test],
        "test_y": targets[test, None],
    }
