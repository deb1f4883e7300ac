"""studies.yaml, params.yaml, metrics/data.json, data/DATA.safetensors → studies/results/NAME/."""

import os
from functools import partial
from pathlib import Path

from descent.io.errors import ParamsError, StudyError
from descent.io.params import load_params
from descent.io.results import load_metrics, save_metrics, save_table
from descent.studies.engine import on_processes
from descent.studies.grid import load_studies, settings
from descent.studies.outcomes import Engine, Outcomes, results, rows, summary, trials
from descent.studies.stacked import on_stack, stack_name
from descent.studies.trials import perform
from stages.program import KEPT, chosen_device, counted, follow, stage


def main(name: str) -> None:
    """Perform the trials of a study that were not performed yet, on all cores, and summarise all of them."""
    params, study = load_params(Path("params.yaml")), load_studies(Path("studies.yaml"))[name]
    evaluation, threads, seeds = params.evaluation, params.threads, range(params.seed, params.seed + study.seeds)
    data = load_metrics(Path("metrics/data.json"))
    chosen = settings(name, study, params.train)
    planned = trials(chosen, seeds, evaluation, threads, data[f"sha256_{study.data}"], study.epsilons)

    cluster, device = os.environ.get("DESCENT_CLUSTER"), chosen_device()
    if cluster and device.type != "cpu":
        raise ParamsError("DESCENT_CLUSTER and DESCENT_DEVICE: a cluster computes on processors; take one of the two")
    kept = KEPT / ("trials" if device.type == "cpu" else f"trials-on-{stack_name(device)}")
    outcomes, work = Outcomes(kept), partial(perform, data=Path("data"), kept=kept)
    processes = max(1, len(os.sched_getaffinity(0)) // threads)
    missing = outcomes.missing({key: trial for key, (_, trial) in planned.items()})
    with counted(name, len(planned), len(planned) - len(missing)) as progress:
        engine: Engine = partial(on_processes, work, processes=processes, begin=follow)
        if cluster:
            from descent.studies.cluster import on_cluster  # only then

            engine = partial(on_cluster, address=cluster, data=Path("data"))
        elif device.type == "cuda":
            engine = partial(on_stack, data=Path("data"), device=device)
        failed = outcomes.complete(missing, engine, progress)
    if failed:
        lines = [f"  {planned[key][0].values}, seed {planned[key][1].seed}: {why}" for key, (why,) in failed.items()]
        raise StudyError("\n".join([f"{name}: {len(failed)} trials failed; the others are kept", *lines]))

    table, folder = summary(planned, outcomes), Path("studies/results", name)
    save_table(folder / "curves.csv", rows(planned, outcomes))
    save_table(folder / "trials.csv", results(planned, outcomes))
    save_table(folder / "summary.csv", table)
    save_metrics(
        folder / "metrics.json",
        {
            "runs": ", ".join(study.runs),
            "source": data["source"] if study.data == "images" else study.data,
            "classes": data["classes"] if study.data == "images" else None,
            "device": device.type,
            "settings": len(chosen),
            "seeds": study.seeds,
            "trials": len(planned),
            "diverged": sum(int(row["diverged"] or 0) for row in table),
        },
    )


if __name__ == "__main__":
    stage(main)
