"""What several tests need."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import stages  # noqa: F401 - sets OpenMP's environment before torch computes
from descent.determinism import make_deterministic
from descent.params import Params, load_params
from tests.imports import ROOT
from tests.workspace import Workspace, cloned, copied

make_deterministic(threads=1)
# The same examples each time, remembered nowhere; a slow machine fails nothing.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")

# Minutes each: begun last, one of them would keep one worker while the others idle.
LONGEST = (
    "test_walkthroughs.py",
    "test_pipeline.py",
    "test_benchmarks.py",
    "test_interruption.py",
    "test_machine.py",
    "test_verify.py",
    "test_cluster.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let ART write its file in the user's home before two workers do so at once: one would read it half written."""
    import art.config  # noqa: F401 - its import writes the file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return the whole pipeline after a first run on a few drawn garments, committed."""
    workspace = copied(tmp_path_factory.mktemp("miniature of the project"))
    workspace.set(
        data__mirrors={},
        data__drawn__train=1000,
        data__drawn__test=500,
        evaluation__train_subset=200,
        train__regression_lr_1e_4__epochs=3,
        train__regression_lr_1e_2__epochs=3,
        train__mlp__epochs=3,
        train__mlp_weight_decay__epochs=3,
        train__convnet__epochs=2,
        train__convnet_adversarial__epochs=2,
        attack__bench__epsilons=[0.0, 0.1, 0.5],
        attack__bench__tolerance=0.01,
        attack__bench__slider_steps=6,
        attack__bench__pgd__images=50,
        attack__bench__pgd__epsilons=[0.1, 0.5],
        attack__bench__pgd__steps=3,
        attack__bench__pgd__restarts=2,
        theory__parametrised_relu__networks=20,
        theory__parametrised_relu__seeds=2,
        theory__parametrised_relu__run__epochs=3,
        theory__learning_rate__epochs=10,
    )
    workspace.first_run = workspace.run("python", "-m", "tools.repro", "2")
    workspace.commit("First run")
    return workspace


@pytest.fixture(scope="session")
def studied(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a miniature after small studies, committed."""
    workspace = cloned(miniature.folder, tmp_path_factory.mktemp("studies") / "project")
    shutil.copytree(miniature.folder / ".dvc" / "cache", workspace.folder / ".dvc" / "cache")
    workspace.set_study("weight-decay", grid={"optimizer": ["adam"], "weight_decay": [0.0, 0.001]})
    workspace.set_study("classifiers", runs=["mlp", "convnet"], epsilons=[0.0, 0.1, 0.5])
    workspace.set_study("learning-rate", grid={"learning_rate": [0.0001, 0.01, 100.0]})
    workspace.run("dvc", "checkout")
    assert workspace.ran("studies/dvc.yaml") == {
        "studies/dvc.yaml:publish",
        *(f"studies/dvc.yaml:study@{name}" for name in ("weight-decay", "classifiers", "learning-rate")),
    }
    assert len(workspace.outcomes()) == 14
    workspace.commit("Studies")
    return workspace


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a clone of what is committed here."""
    return cloned(ROOT, tmp_path_factory.mktemp("clone") / "descent")
