"""params.yaml, studies.yaml, data/images.safetensors, data/attacked/RUN.safetensors → studies/verification/RUN.csv."""

import torch

from descent.io.datasets import load_dataset
from descent.io.layout import PARAMS, STUDIES, RunFiles, dataset
from descent.io.params import load_params
from descent.io.results import save_table
from descent.io.study_schema import load_studies
from descent.models.machine import make_deterministic
from descent.robustness.classifier import load_classifier
from descent.robustness.verification import verify
from stages.program import progress, stage


def main(name: str) -> None:
    """Decide for the first test images whether a perturbation of size ε flips them."""
    params, study = load_params(PARAMS), load_studies(STUDIES).verification
    make_deterministic(params.threads)
    files, test = RunFiles(name), load_dataset(dataset("images")).test
    model = load_classifier(files.attacked_classifier, test.x.shape[1:])
    rng, pgd = torch.Generator().manual_seed(params.seed), params.attack.bench.pgd

    rows, images = [], range(min(study.images, len(test.y)))
    with progress(name, "image", len(study.epsilons) * len(images)) as bar:
        for epsilon in study.epsilons:
            for index in images:
                x, y = test.x[index : index + 1], test.y[index : index + 1]
                verdict = verify(model, x, y, epsilon, pgd, study.seconds, rng)
                rows.append({"epsilon": epsilon, "image": index, **verdict._asdict()})
                bar.update()

    save_table(files.verification, rows)


if __name__ == "__main__":
    stage(main)
