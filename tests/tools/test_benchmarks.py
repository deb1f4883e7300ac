"""The benchmarks measure what they say; no test depends on a time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from benchmarks.gpu import prepared
from benchmarks.inputs import OURS
from benchmarks.products import products
from benchmarks.tables import page, table
from benchmarks.targets import TITLE, targets
from benchmarks.timing import Figures, alternate, beside
from descent.io.errors import DataError
from descent.io.layout import PARAMS
from descent.io.params import load_params
from descent.io.schema import Params
from descent.models.networks import build_model
from descent.sources.published import FASHION_CLASSES, FILES
from tests.imports import ROOT
from tests.sources.test_images import idx
from tests.workspace import Workspace, copy

RESULTS = ROOT / "benchmarks" / "results.json"


def test_candidates_are_taken_in_turn_and_a_first_round_is_not_counted() -> None:
    events: list[str] = []

    def of(label: str) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            events.append(f"prepare {label}")
            return lambda: events.append(f"run {label}")

        return prepare

    seconds = alternate({"a": of("a"), "b": of("b")}, rounds=2)
    assert events == 3 * ["prepare a", "run a", "prepare b", "run b"]
    assert {label: len(times) for label, times in seconds.items()} == {"a": 2, "b": 2}


def test_a_row_has_the_median_its_spread_and_its_multiple_of_ours() -> None:
    rows = beside({OURS: [1.0, 2.0, 9.0], "peer": [8.0, 4.0, 6.0]}, OURS)
    assert rows["peer"] == {"median s": 6.0, "min s": 4.0, "max s": 8.0, "× ours": 3.0}
    assert rows[OURS]["× ours"] == 1.0


@pytest.mark.parametrize(
    ("run", "shapes"),
    [
        # Forward and, for the weights, backward; from the second layer on backward to the input as well.
        ("mlp", "(4, 100) (100, 784) (4, 10) (10, 100) (4, 100)"),
        (
            "convnet",
            "(4, 24, 27, 27) (None, (24, 1, 4, 4), None) (4, 40, 9, 9) ((4, 24, 9, 9), (40, 24, 3, 3), None) "
            "(4, 56, 9, 9) ((4, 40, 9, 9), (56, 40, 3, 3), None) (4, 80, 4, 4) ((4, 56, 4, 4), (80, 56, 3, 3), None) "
            "(4, 10) (10, 1280) (4, 1280)",
        ),
    ],
)
def test_the_bound_does_every_product_of_a_step_and_nothing_else(params: Params, run: str, shapes: str) -> None:
    def shape(of: object) -> object:
        return tuple(of.shape) if isinstance(of, torch.Tensor) else of and tuple(map(shape, of))  # type: ignore[call-overload]

    made = products(build_model(params.train[run].model, (1, 28, 28), 10, 0), torch.rand(4, 1, 28, 28))
    assert " ".join(str(shape(product())) for product in made) == shapes


def test_a_table_has_a_column_for_every_figure_and_three_digits() -> None:
    rows: dict[str, Figures] = {"a": {"s": 12345.6, "x": 0.012345}, "b": {"s": 1.0, "n": "yes"}}
    lines = table({"title": "T", "note": "N", "rows": rows}).splitlines()
    header, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert header == ["", "s", "x", "n"]
    assert cells == [["a", "12346", "0.0123", ""], ["b", "1", "", "yes"]]


@pytest.mark.parametrize(("seconds", "reached"), [(None, "not measured"), (40.0, "yes"), (61.0, "NO")])
def test_a_target_is_compared_with_the_measurement(seconds: float | None, reached: str) -> None:
    sections = json.loads(RESULTS.read_text(encoding="utf-8"))["sections"]
    if seconds:
        sections["On a GPU: seeds of mlp in a stack"] = {"rows": {"64 seeds in a stack": {"median s": seconds}}}
    found = targets(sections)["rows"]["64 seeds in a stack, on a GPU, s"]
    assert found == {"asked": "≤ 60", "got": seconds, "reached": reached}


def test_the_readme_tells_of_the_committed_figures(committed: Workspace) -> None:
    results = json.loads((committed.folder / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    got = {name: row["got"] for name, row in results["sections"]["Asked and got"]["rows"].items()}
    words = " ".join((committed.folder / "README.md").read_text(encoding="utf-8").split())
    assert f"takes {got['mlp: epoch / its products alone']:.1f} times as long as its bare matrix products" in words
    assert "about sixteen times as long as ours" in words
    assert got["mlp: PyTorch quickstart / ours"] == pytest.approx(16, abs=1.5)
    assert "about thirteen and a half minutes on two cores" in words
    assert got["make repro from nothing, s"] == pytest.approx(810, abs=30)


def test_the_committed_page_shows_the_committed_figures(committed: Workspace) -> None:
    folder = committed.folder / "benchmarks"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert (folder / "results.md").read_text(encoding="utf-8") == page(**results), "run `make bench` and commit"
    measured = {title: section for title, section in results["sections"].items() if title != TITLE}
    assert targets(measured) == results["sections"][TITLE]
    assert "the same bits" in results["sections"]["An epoch of mlp"]["note"]
    assert "the same bits" in results["sections"]["An epoch of convnet"]["note"]


@pytest.mark.slow
def test_every_measurement_runs_and_is_written_down(miniature: Workspace, tmp_path: Path) -> None:
    workspace, yaml = copy(miniature, tmp_path / "measured"), YAML()
    pipeline = yaml.load(workspace.folder / "dvc.yaml")
    kept = ("validate", "download", "prepare", "train", "report")
    yaml.dump({"stages": {name: pipeline["stages"][name] for name in kept}}, workspace.folder / "dvc.yaml")
    before = json.loads((results := workspace.folder / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    elsewhere = {"title": "On a GPU: FGSM", "note": "Of another machine.", "rows": {"mlp": {"s": 1.0}}}
    before["sections"][elsewhere["title"]] = elsewhere
    results.write_text(json.dumps(before), encoding="utf-8")
    workspace.commit("A short pipeline")
    workspace.run("python", "-m", "benchmarks", "--rounds", "1")
    sections = json.loads(results.read_text(encoding="utf-8"))["sections"]
    assert sections.keys() == before["sections"].keys()
    assert sections[elsewhere["title"]] == elsewhere
    for section in sections.values():
        for row in section["rows"].values():
            assert all(figure is None or figure == figure for figure in row.values())  # NaN is not itself
    for sweep in ("FGSM against mlp", "FGSM against convnet-adversarial"):
        # One image of the 500 may lie at a boundary.
        assert all(row["accuracy differs by"] <= 0.002 for row in sections[sweep]["rows"].values())
    stages = sections["Stages, side by side in `make repro` from nothing"]["rows"]
    runs = {f"train@{run}" for run in load_params(workspace.folder / PARAMS).train}
    assert stages.keys() == {"validate", "download", "prepare", "report"} | runs
    whole = sections["make repro"]["rows"]
    assert whole["from nothing"]["stages' processor s"] < whole["from nothing"]["processor s"]


WITHOUT_THE_REST = """
import re, sys, torch, numpy
from importlib.metadata import packages_distributions
for name, packages in packages_distributions().items():
    if name not in sys.modules and not {re.sub("[._]", "-", p.lower()) for p in packages} & set(sys.argv):
        sys.modules[name] = None
import benchmarks.gpu
"""


def test_gpu_sh_brings_every_package_that_it_imports() -> None:
    script = (ROOT / "benchmarks" / "gpu.sh").read_text()
    brought = script.partition("packages='")[2].partition("'")[0].split()
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    program = [sys.executable, "-c", WITHOUT_THE_REST, *brought]
    assert subprocess.run(program, env=environment, capture_output=True, text=True).stderr == ""  # noqa: PLW1510, S603


def test_gpu_sh_packs_the_images_of_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: torch.Generator
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gpu").mkdir()
    made = {part: torch.randint(256, (5, 3, 2) if "images" in part else (5,), generator=rng) for part in FILES}
    for part, file in FILES.items():
        (tmp_path / ".gpu" / file).write_bytes(idx(made[part].to(torch.uint8)))
    with pytest.raises(
        DataError, match=r"^\.gpu/t10k-images-idx3-ubyte\.gz: not the published file; `benchmarks/gpu\.sh"
    ):
        prepared()
    monkeypatch.setattr("benchmarks.gpu.lacking", lambda folder, source: {})
    data = prepared()
    assert torch.equal(data.train.x, made["train_images"].unsqueeze(1).float() / 255)
    assert torch.equal(data.test.y, made["test_labels"])
    assert data.classes == list(FASHION_CLASSES)
