"""params.yaml, models, data/adversarial-sets/ → metrics/transfer.json, plots/transfer.csv."""

from pathlib import Path

from descent.adversarial_set import load_adversarial_set
from descent.determinism import make_deterministic
from descent.fashion_mnist import CLASSES
from descent.files import save_metrics, save_table
from descent.heap import keep_freed_memory
from descent.models import load_model
from descent.params import load_params
from descent.transfer import stronger_from_elsewhere, transfer_matrix
from stages.terminal import command


def main() -> None:
    """Try the adversarial images crafted on each attacked classifier on every other."""
    params = load_params(Path("params.yaml"))
    runs, names = params.train, params.attack.runs
    make_deterministic(params.threads)
    keep_freed_memory()
    sets = {name: load_adversarial_set(Path(f"data/adversarial-sets/{name}.safetensors")) for name in names}
    models = {
        name: load_model(Path(f"models/{name}.safetensors"), runs[name].model, sets[name].x.shape[1:], len(CLASSES))
        for name in names
    }

    rows = transfer_matrix(models, sets, params.evaluation.batch_size)

    save_table(Path("plots/transfer.csv"), rows)
    save_metrics(
        Path("metrics/transfer.json"),
        {f"{row['source']}_on_{row['target']}": row["accuracy"] for row in rows}
        | {"failed_checks": ", ".join(stronger_from_elsewhere(rows)) or "none"},
    )


if __name__ == "__main__":
    command(main)
