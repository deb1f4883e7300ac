"""Trials on a GPU: the seeds of one setting as one batched model."""

from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path

import torch

from descent.data import Dataset, load_dataset
from descent.determinism import make_deterministic
from descent.pool import Failure
from descent.runs import Watched, begin
from descent.source import source_digest
from descent.stacked import fit_stacked
from descent.training import fit
from descent.trials import Trial, outcome


def stack_name(device: torch.device) -> str:
    """Name where and by which code trials are performed here: outcomes differ in the last digits from other ones'."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{''.join(letter if letter.isalnum() else '-' for letter in card)}-{source_digest(__name__)[:16]}"


def on_stack(trials: Mapping[str, Trial], data: Path, device: torch.device) -> Generator[tuple[str, bytes | Failure]]:
    """Perform trials, all seeds of a setting at once, and yield what becomes of them by name.

    Those of a run with an adversary go one by one. What fails, for want of memory say, fails for all its seeds.

    Args:
        trials: By name.
        data: The folder with the prepared data sets.
        device: Where to.
    """
    groups = defaultdict[str, dict[str, Trial]](dict)
    for name, trial in trials.items():
        alone = [] if trial.run.adversary == "none" else [trial.seed]
        groups[repr([trial._replace(seed=0), alone])][name] = trial
    loaded = dict[tuple[str, str], Dataset]()
    for group in groups.values():
        first = next(iter(group.values()))
        make_deterministic(first.threads, device)
        source = (first.run.data, first.sha256_data)
        if source not in loaded:
            loaded[source] = load_dataset(data / f"{first.run.data}.safetensors", first.sha256_data).to(device)
        try:
            yield from _performed(group, loaded[source]).items()
        except RuntimeError as error:
            yield from dict.fromkeys(group, Failure(str(error).partition("\n")[0])).items()


def _performed(group: Mapping[str, Trial], data: Dataset) -> dict[str, bytes | Failure]:
    """Train the models of all seeds side by side; one that diverges does not hold up the others."""
    trials = list(group.values())
    run, evaluation = trials[0].run, trials[0].evaluation
    models, _, rngs = zip(*(begin(run, data, trial.seed) for trial in trials), strict=True)
    watched = [Watched(model, data, run, evaluation, []) for model in models]
    diverged = dict[int, int]()
    epochs = (
        fit(models[0], data.train, run, rngs[0]) if len(models) == 1 else fit_stacked(models, data.train, run, rngs)
    )
    for epoch in epochs:
        for number, model in enumerate(watched):
            if number not in diverged:
                row = model.after(epoch)
                if row is None:
                    diverged[number] = epoch
                else:
                    model.history.append(row)
        if len(diverged) == len(models):
            break
    for number in diverged:
        watched[number].back()  # trained on with the others
    return {
        name: outcome(name, trial, models[number], data, watched[number].history, diverged.get(number))
        for number, (name, trial) in enumerate(group.items())
    }
