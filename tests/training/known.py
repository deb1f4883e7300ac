"""A run of which a test changes what it is about."""

from descent.io.run_schema import Linear, Run


def run(**changes: object) -> Run:
    """Return gradient descent on the whole data, one step an epoch, with some settings changed."""
    settings: dict[str, object] = {"data": "diabetes", "model": Linear(kind="linear"), "reduction": "mean", "epochs": 1}
    settings |= {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1, "warm_up": 0.0, "schedule": "constant"}
    settings |= {"weight_decay": 0.0, "label_smoothing": 0.0, "horizontal_flips": False}
    return Run.model_validate(settings | {"batch_size": 1000, "adversary": "none"} | changes)
