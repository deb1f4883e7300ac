"""Fixtures of several tests, and the order in which tests run."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import stages  # noqa: F401 - sets OpenMP's environment before torch computes
from descent.io.params import load_params
from descent.io.schema import Params
from descent.io.tensors import save_tensors
from descent.models.machine import make_deterministic
from tests.imports import CLASSIFIERS, ROOT
from tests.workspace import NO_MIRROR, Once, Workspace, cloned, copied_code, copy

make_deterministic(threads=1)
# The same examples each time, remembered nowhere; a slow machine fails nothing.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let ART write its file in the user's home before two workers do so at once: one would read it half written."""
    import art.config  # noqa: F401 - its import writes the file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that run the pipeline and put them first: started last, one would keep a worker while others idle."""
    for item in items:
        if {"committed", "miniature"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("pipeline")
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def twenty_seconds() -> Iterator[None]:
    """Fail a test that takes twenty seconds of the processor: a small file must not cost hours."""

    def ring(*_: object) -> None:
        raise TimeoutError("more than twenty seconds of the processor")

    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, 20)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


@pytest.fixture
def data(tmp_path: Path, rng: torch.Generator) -> tuple[Path, str]:
    """Return the folder of a little regression data, and its digest."""
    parts = {
        f"{part}_{name}": torch.randn(count, width, generator=rng, dtype=torch.float64)
        for part, count in (("train", 40), ("test", 12))
        for name, width in (("x", 5), ("y", 1))
    }
    return tmp_path / "data", save_tensors(tmp_path / "data" / "diabetes.safetensors", parts)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that makes a workspace in the first worker that asks for it, and returns it in the others."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], Workspace]) -> Workspace:
        workspace, printed = Workspace(shared / name), shared / f"{name}.printed"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not printed.exists():
                printed.write_text(make(workspace.folder).first_run, encoding="utf-8")
        workspace.first_run = printed.read_text(encoding="utf-8")
        return workspace

    return once


@pytest.fixture(scope="session")
def miniature(once: Once) -> Workspace:
    """Return the whole pipeline after a first run on a few drawn garments, committed; no test changes it."""
    return once("miniature of the project", first_run)


@pytest.fixture(scope="session")
def studied(miniature: Workspace, once: Once) -> Workspace:
    """Return a miniature after small studies, committed; no test changes it."""

    def study(folder: Path) -> Workspace:
        workspace = copy(miniature, folder)
        workspace.set_study("weight-decay", grid={"optimizer": ["adam"], "weight_decay": [0.0, 0.001]})
        workspace.set_study("classifiers", runs=["mlp", "convnet"], epsilons=[0.0, 0.1, 0.5])
        workspace.set_study("learning-rate", grid={"learning_rate": [0.0001, 0.01, 100.0]})
        assert workspace.ran("studies/dvc.yaml") == {
            "validate",
            "studies/dvc.yaml:publish",
            *(f"studies/dvc.yaml:autoattack@{name}" for name in CLASSIFIERS),
            *(f"studies/dvc.yaml:verification@{name}" for name in ("mlp", "mlp-weight-decay")),
            *(f"studies/dvc.yaml:study@{name}" for name in ("weight-decay", "classifiers", "learning-rate")),
        }
        assert len(workspace.outcomes()) == 14
        workspace.commit("Studies")
        return workspace

    return once("studies", study)


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a clone of what is committed here."""
    return cloned(ROOT, tmp_path_factory.mktemp("clone") / "descent")


def first_run(folder: Path) -> Workspace:
    """Run the whole pipeline on a few drawn garments, and commit."""
    workspace = copied_code(folder)
    epochs = dict.fromkeys(("regression_lr_1e_4", "regression_lr_1e_2", "mlp", "mlp_weight_decay"), 3)
    workspace.set(
        data__mirrors={"fashion-mnist": [NO_MIRROR]},
        data__drawn={"train": 1000, "test": 500},
        evaluation__train_subset=200,
        **{f"train__{run}__epochs": count for run, count in epochs.items()},
        train__convnet__epochs=2,
        train__convnet_adversarial__epochs=2,
        train__convnet_certified__epochs=8,  # with fewer it knows one class, and nothing flips
        attack__bench__epsilons=[0.0, 0.1, 0.5],
        attack__bench__tolerance=0.01,
        attack__bench__slider_steps=6,
        attack__bench__pgd={"images": 50, "epsilons": [0.1, 0.5], "steps": 3, "step": 0.25, "restarts": 2},
        theory__parametrised_relu__networks=20,
        theory__parametrised_relu__seeds=2,
        theory__parametrised_relu__run__epochs=3,
        theory__learning_rate__epochs=10,
    )
    workspace.set("studies.yaml", autoattack__epsilons=[0.5], verification__images=5, verification__epsilons=[0.01])
    workspace.first_run = workspace.run("python", "-m", "tools.repro", "2")
    workspace.commit("First run")
    return workspace
