"""studies.yaml, params.yaml, metrics/data.json, data/DATA.safetensors → studies/results/NAME/."""

import os
from functools import partial
from pathlib import Path

import torch

from descent.io.errors import ParamsError, StudyError
from descent.io.layout import CHECKPOINTS, DATA_METRICS, PARAMS, PREPARED, STUDIES, study_results
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.studies.engine import on_processes
from descent.studies.grid import load_studies, settings
from descent.studies.outcomes import Engine, Outcomes, planned_trials
from descent.studies.stacked import on_stack, stack_name
from descent.studies.summary import curve_rows, study_metrics, summary_rows, trial_rows
from descent.studies.trials import perform
from stages.program import chosen_device, follow, progress, stage


def main(name: str) -> None:
    """Perform the missing trials of a study, and summarise all of them."""
    params, study = load_params(PARAMS), load_studies(STUDIES)[name]
    data, seeds = load_metrics(DATA_METRICS), range(params.seed, params.seed + study.seeds)
    chosen, digest = settings(name, study, params.train), data[f"sha256_{study.data}"]
    plan = planned_trials(chosen, seeds, params.evaluation, params.threads, digest, study.epsilons)
    device = chosen_device()
    kept = CHECKPOINTS / ("trials" if device.type == "cpu" else f"trials-on-{stack_name(device)}")
    engine, outcomes = chosen_engine(device, params.threads, kept), Outcomes(kept)

    missing = outcomes.missing(plan)
    with progress(name, "trial", len(plan), len(plan) - len(missing)) as bar:
        failures = outcomes.complete(missing, engine, bar.update)
    if failures:
        lines = [f"  {plan[trial][0].values}, seed {plan[trial][1].seed}: {why}" for trial, (why,) in failures.items()]
        raise StudyError("\n".join([f"{name}: {len(failures)} trials failed; the others are kept", *lines]))

    summary, folder = summary_rows(plan, outcomes), study_results(name)
    save_table(folder / "curves.csv", curve_rows(plan, outcomes))
    save_table(folder / "trials.csv", trial_rows(plan, outcomes))
    save_table(folder / "summary.csv", summary)
    save_metrics(folder / "metrics.json", study_metrics(study, plan, summary, data, device.type))


def chosen_engine(device: torch.device, threads: int, kept: Path) -> Engine:
    """Return what performs trials: a GPU, the cluster of DESCENT_CLUSTER, or the cores of this machine.

    Raises:
        ParamsError: Both a GPU and a cluster are asked for.
    """
    cluster = os.environ.get("DESCENT_CLUSTER")
    if cluster and device.type != "cpu":
        raise ParamsError("DESCENT_CLUSTER and DESCENT_DEVICE: a cluster computes on processors; take one of the two")
    if device.type != "cpu":
        return partial(on_stack, data=PREPARED, device=device)
    if cluster:
        from descent.studies.cluster import on_cluster  # imported here as it needs an extra

        return partial(on_cluster, address=cluster, data=PREPARED)
    processes = max(1, len(os.sched_getaffinity(0)) // threads)
    return partial(on_processes, partial(perform, data=PREPARED, kept=kept), processes=processes, initializer=follow)


if __name__ == "__main__":
    stage(main)
