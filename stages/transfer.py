"""params.yaml, metrics/attack/, data/attacked/, data/adversarial-sets/ → metrics/transfer.json, plots/transfer.csv."""

from pathlib import Path

from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.robustness.adversarial_set import load_adversarial_set
from descent.robustness.classifier import load_classifier
from descent.robustness.transfer import stronger_from_elsewhere, transfer_matrix
from stages.terminal import stage


def main() -> None:
    """Try the adversarial images crafted on each attacked classifier on every other."""
    params = load_params(Path("params.yaml"))
    names = params.attack.runs
    make_deterministic(params.threads)
    keep_freed_memory()
    attacked = {name: load_metrics(Path(f"metrics/attack/{name}.json")) for name in names}
    sets = {
        name: load_adversarial_set(
            Path(f"data/adversarial-sets/{name}.safetensors"), attacked[name]["sha256_adversarial_set"]
        )
        for name in names
    }
    models = {
        name: load_classifier(
            Path(f"data/attacked/{name}.safetensors"), sets[name].x.shape[1:], attacked[name]["sha256_classifier"]
        )
        for name in names
    }

    rows = transfer_matrix(models, sets, params.evaluation.batch_size)

    save_table(Path("plots/transfer.csv"), rows)
    save_metrics(
        Path("metrics/transfer.json"),
        {f"{row['source']}_on_{row['target']}": row["accuracy"] for row in rows}
        | {
            "failed_checks": ", ".join(stronger_from_elsewhere(rows)) or "none",
            "diverged": ", ".join(name for name in names if attacked[name]["diverged"]) or "none",
        },
    )


if __name__ == "__main__":
    stage(main)
