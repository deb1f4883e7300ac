"""studies.yaml, params.yaml, metrics/data.json, data/DATA.safetensors → studies/results/NAME/."""

import os
from functools import partial

from descent.io.dependencies import locked_outputs
from descent.io.errors import ParamsError, StudyError
from descent.io.files import sha256
from descent.io.layout import CHECKPOINTS, DATA_METRICS, PARAMS, PREPARED, STUDIES, STUDY_LOCK, STUDY_RESULTS, dataset
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.io.study_schema import load_studies
from descent.studies.engine import on_workers
from descent.studies.grid import settings
from descent.studies.outcomes import Outcomes, planned_trials, record, recorded
from descent.studies.stacked import on_stack, stack_name
from descent.studies.summary import curve_rows, study_metrics, summary_rows, trial_rows
from stages.program import chosen_device, progress, stage


def main(name: str) -> None:
    """Perform the missing trials of a study, and summarise all of them."""
    params, study = load_params(PARAMS), load_studies(STUDIES).studies[name]
    chosen, digest = settings(name, study, params.train), sha256(dataset(study.data))
    seeds = range(params.seed, params.seed + study.seeds)
    plan = planned_trials(chosen, seeds, params.evaluation, params.threads, digest, study.epsilons)
    device, cluster = chosen_device(), os.environ.get("DESCENT_CLUSTER")
    folder, earlier = STUDY_RESULTS / name, {}
    if device.type == "cpu":
        kept = CHECKPOINTS / "trials"
        engine = partial(on_workers, data=PREPARED, kept=kept, address=cluster)
        earlier = recorded(folder, locked_outputs(STUDY_LOCK).get(str(folder)))
    elif cluster:
        raise ParamsError("DESCENT_CLUSTER and DESCENT_DEVICE: a cluster computes on processors; take one of the two")
    else:
        kept = CHECKPOINTS / f"trials-on-{stack_name(device)}"
        engine = partial(on_stack, data=PREPARED, device=device)

    outcomes = Outcomes(kept, earlier)
    missing = outcomes.missing(plan)
    with progress(name, "trial", len(plan), len(plan) - len(missing)) as bar:
        failures = outcomes.complete(missing, engine, bar.update)
    if failures:
        lines = [f"  {plan[trial][0].values}, seed {plan[trial][1].seed}: {why}" for trial, (why,) in failures.items()]
        raise StudyError("\n".join([f"{name}: {len(failures)} trials failed; the others are kept", *lines]))

    summary = summary_rows(plan, outcomes)
    if device.type == "cpu":
        record(folder, plan, outcomes)
    else:
        (folder / "trials.json").unlink(missing_ok=True)  # the names of trials do not say which GPU performed them
    save_table(folder / "curves.csv", curve_rows(plan, outcomes))
    save_table(folder / "trials.csv", trial_rows(plan, outcomes))
    save_table(folder / "summary.csv", summary)
    save_metrics(folder / "metrics.json", study_metrics(study, plan, summary, load_metrics(DATA_METRICS), device.type))


if __name__ == "__main__":
    stage(main)
