"""params.yaml, metrics/attack/, data/attacked/, data/adversarial-sets/ → metrics/transfer.json, plots/transfer.csv."""

from descent.io.layout import PARAMS, TRANSFER_CURVE, TRANSFER_METRICS, RunFiles
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.robustness.adversarial_set import load_adversarial_set
from descent.robustness.classifier import load_classifier
from descent.robustness.transfer import stronger_from_elsewhere, transfer_rows
from stages.program import stage


def main() -> None:
    """Evaluate each attacked classifier on the adversarial examples of every other."""
    params = load_params(PARAMS)
    names = params.attack.runs
    make_deterministic(params.threads)
    keep_freed_memory()
    files = {name: RunFiles(name) for name in names}
    attacked = {name: load_metrics(each.attack_metrics) for name, each in files.items()}
    sets = {name: load_adversarial_set(each.adversarial_set) for name, each in files.items()}
    models = {name: load_classifier(each.attacked_classifier, sets[name].x.shape[1:]) for name, each in files.items()}

    rows = transfer_rows(models, sets, params.evaluation.batch_size)

    save_table(TRANSFER_CURVE, rows)
    save_metrics(
        TRANSFER_METRICS,
        {f"{row['source']}_on_{row['target']}": row["accuracy"] for row in rows}
        | {
            "failed_checks": ", ".join(stronger_from_elsewhere(rows)) or "none",
            "diverged": ", ".join(name for name in names if attacked[name]["diverged"]) or "none",
        },
    )


if __name__ == "__main__":
    stage(main)
