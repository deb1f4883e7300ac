"""A run of which a test changes what it is about."""

from descent.io.run_schema import Linear, Run


def run(**changes: object) -> Run:
    """Return gradient descent on the whole data, one step an epoch, with some settings changed."""
    settings: dict[str, object] = {"data": "diabetes", "model": Linear(kind="linear"), "reduction": "mean", "epochs": 1}
    settings |= {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "constant", "weight_decay": 0.0}
    return Run.model_validate(settings | {"batch_size": 1000, "adversary": "none"} | changes)
