"""params.yaml, studies.yaml, data/images.safetensors, data/attacked/RUN.safetensors → studies/autoattack/RUN.csv."""

from descent.io.datasets import Split, load_dataset
from descent.io.layout import PARAMS, STUDIES, RunFiles, dataset
from descent.io.params import load_params
from descent.io.results import save_table
from descent.io.study_schema import load_studies
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.robustness.autoattack import ATTACKS, autoattack_rows
from descent.robustness.classifier import load_classifier
from stages.program import progress, stage


def main(name: str) -> None:
    """Attack one of the classifiers with AutoAttack, on the images of PGD."""
    params, epsilons = load_params(PARAMS), load_studies(STUDIES).autoattack.epsilons
    make_deterministic(params.threads)
    keep_freed_memory()
    files, test = RunFiles(name), load_dataset(dataset("images")).test
    few = Split(*(part[: params.attack.bench.pgd.images] for part in test))
    model = load_classifier(files.attacked_classifier, few.x.shape[1:])

    with progress(name, "attack", len(epsilons) * len(ATTACKS)) as bar:
        rows = autoattack_rows(model, few, epsilons, params.evaluation.batch_size, params.seed, bar.update)

    save_table(files.autoattack, rows)


if __name__ == "__main__":
    stage(main)
