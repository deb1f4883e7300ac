"""Perform a trial of a study: train one run from one seed, measure it and attack it."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from descent.io.datasets import Dataset, load_dataset
from descent.io.errors import DataError
from descent.io.run_schema import Evaluation, Run
from descent.models.machine import keep_freed_memory, make_deterministic
from descent.studies.attacked import under_attack
from descent.studies.source import source_digest
from descent.training.checkpoint import Checkpoint
from descent.training.diagnostics import describe
from descent.training.runs import initial_state, train


class Trial(NamedTuple):
    """Everything that the outcome of a trial depends on, except the code."""

    run: Run
    seed: int
    evaluation: Evaluation
    threads: int
    sha256_data: str
    epsilons: Sequence[float] = ()  # of the FGSM attack after training


class Outcome(NamedTuple):
    """The result of a trial: metrics and curve as in the stage `train`, accuracies as in `attack`."""

    metrics: dict[str, Any]
    history: list[dict[str, float]]


@cache
def code(attacked: bool) -> str:
    """Return a digest of the code of a trial, attacked or not, torch's version and the processor's capability."""
    without = () if attacked else (under_attack.__module__,)
    words = [source_digest(__name__, without), torch.__version__, torch.backends.cpu.get_cpu_capability()]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def key(trial: Trial) -> str:
    """Return a digest that names the outcome of a trial: equal only for equal parameters, data and code."""
    run, evaluation = trial.run.model_dump(), trial.evaluation.model_dump()
    depends = [run, trial.seed, evaluation, trial.threads, trial.sha256_data, list(trial.epsilons)]
    words = json.dumps([depends, code(bool(trial.epsilons))], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()


def perform(trial: Trial, data: Path, kept: Path) -> bytes:
    """Train and measure on the CPU of this machine.

    Args:
        trial: What is trained, and how.
        data: The folder with the prepared data sets.
        kept: The folder of the checkpoints from which an interrupted trial resumes.

    Returns:
        The outcome as JSON; `parsed` reads it.
    """
    make_deterministic(trial.threads)
    keep_freed_memory()
    dataset = _dataset(data / f"{trial.run.data}.safetensors", trial.sha256_data)
    state = initial_state(trial.run, dataset, trial.seed)
    name = key(trial)
    with Checkpoint(kept / name, name, state.tensors(), state.rng) as checkpoint:
        diverged = train(state, dataset, trial.run, trial.evaluation, checkpoint, lambda row: None)
        return outcome(name, trial, state.model, dataset, checkpoint.history, diverged)


def outcome(
    name: str,
    trial: Trial,
    model: nn.Sequential,
    data: Dataset,
    history: list[dict[str, float]],
    diverged: int | None,
) -> bytes:
    """Return the outcome of the trial `name` as JSON: metrics of `model` on `data`, and the curve `history`."""
    metrics: dict[str, Any] = {"diverged": bool(diverged), "diverged_epoch": diverged}
    metrics |= describe(trial.run, history, data, trial.evaluation)
    if trial.epsilons:
        metrics |= under_attack(model, data.test, trial.epsilons, trial.evaluation.batch_size)
    return json.dumps({"trial": name, "metrics": metrics, "history": history}, allow_nan=False).encode()


def parsed(name: str, content: bytes) -> Outcome:
    """Read the outcome of the trial `name`.

    Raises:
        DataError: The content is damaged, or is another trial's outcome.
    """
    try:
        found = json.loads(content)
        if found["trial"] == name and found["metrics"].keys() and [row.keys() for row in found["history"]]:
            return Outcome(found["metrics"], found["history"])
    except (AttributeError, ValueError, KeyError, TypeError):
        pass
    raise DataError(f"trial {name}: its outcome is damaged")


@cache
def _dataset(path: Path, digest: str) -> Dataset:
    return load_dataset(path, digest)
