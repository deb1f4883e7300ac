"""A run of which a test changes what it is about."""

from descent.io.run_schema import Linear, Run


def run(**changes: object) -> Run:
    """Return gradient descent on the whole data, one step an epoch, with some settings changed."""
    settings = {
        "data": "diabetes",
        "model": Linear(kind="linear"),
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "constant",
        "weight_decay": 0.0,
        "reduction": "mean",
        "batch_size": 1000,
        "epochs": 1,
        "adversary": "none",
    }
    return Run.model_validate(settings | changes)
