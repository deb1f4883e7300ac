"""The code keeps to its structure, and each `dvc.yaml` lists what its stages import and read."""

import ast
import re
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from descent.io.schema import Params
from tests.imports import ROOT, closure, imports
from tools.environment import requirements

LIBRARY, PROGRAMS, TOOLS = (sorted((ROOT / name).rglob("*.py")) for name in ("src/descent", "stages", "tools"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIPELINES = (".", "studies", "export")


def read(name: str) -> Any:  # noqa: ANN401
    """Return the content of a YAML file."""
    return YAML(typ="safe").load(ROOT / name)


PARAMETERS, PIPELINE = read("params.yaml"), read("dvc.yaml")
STAGES = {
    name: stage.get("do", stage) for each in PIPELINES for name, stage in read(f"{each}/dvc.yaml")["stages"].items()
}
every_stage = pytest.mark.parametrize("name", STAGES)


def parsed(stage: str) -> ast.Module:
    """Return the syntax tree of a stage's script."""
    return ast.parse((ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*LIBRARY, *PROGRAMS, *TOOLS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_keeps_to_the_structure_of_the_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree, imported = ast.parse(text), imports(path)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert text.count("\n") <= 250
    assert [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= 60] == []
    # The closure of imports, and the names of trials with it, know `from descent.package.module import name` alone.
    ours = {name for name in imported if name.partition(".")[0] == "descent"}
    assert [name for name in ours if path not in TOOLS and name.count(".") != 2] == []
    if path in PROGRAMS and path.name != "__init__.py":  # paths are in the layout
        assert [call for call in map(ast.unparse, calls) if re.match(r"Path\(f?['\"]", call)] == []
    if path in LIBRARY:
        packages = {name.partition(".")[0] for name in imported}
        assert not packages & {"dvc", "stages", "tools", "tests", "tqdm", "argparse", "subprocess"}
        assert not {ast.unparse(call.func) for call in calls} & {"print", "input"}
    if path in LIBRARY and path.name == "__init__.py":
        assert [type(statement) for statement in tree.body] == [ast.Expr]  # its docstring


def test_every_package_has_its_layer() -> None:
    layers = " | ".join(PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]).split(" | ")
    packages = {f"descent.{path.parent.name}" for path in LIBRARY if path.parent.name != "descent"}
    assert sorted(layers) == sorted(packages | {"stages", "tools", "benchmarks"})


@every_stage
def test_a_stage_lists_its_script_and_the_packages_that_it_imports_and_no_other(name: str) -> None:
    listed = {dep for dep in STAGES[name]["deps"] if dep.startswith(("src/", "stages/"))}
    files = closure(f"stages.{name}") - {"src/descent/__init__.py"}  # a docstring alone
    assert listed == {"/".join(file.split("/")[:3]) for file in files}


@every_stage
def test_a_stage_reads_calls_and_writes(name: str) -> None:
    (main,) = (node for node in parsed(name).body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert (main.end_lineno or 0) - main.lineno < 40
    assert sum(isinstance(node, ast.If | ast.IfExp | ast.For | ast.While | ast.Try) for node in ast.walk(main)) <= 4


@every_stage
def test_a_stage_lists_every_parameter_that_it_reads_and_no_other(name: str) -> None:
    keys = [key for key in STAGES[name].get("params", []) if isinstance(key, str)]  # of params.yaml
    listed, whole = {re.sub(r"\$\{(key|item)\}", "*", key) for key in keys}, "params.yaml" in STAGES[name]["deps"]
    assert listed == (set() if whole else set(read_parameters(parsed(name))))
    assert whole == (name in ("validate", "report"))  # they read all


def read_parameters(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of each part of `params` that a stage reads; an index becomes a star."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)]
    inner = {id(node.value) for node in nodes}
    for text in (ast.unparse(node) for node in nodes if id(node) not in inner):
        if re.match(r"params[.\[]", text):
            # A stage that makes a dictionary of them reads all.
            name = re.sub(r"\[\w+\]", ".*", text).removeprefix("params.")
            yield from Params.model_fields if name == "model_dump" else [name]


EACH_RUN = {f"train@{run}" for run in PARAMETERS["train"]}
EACH_ATTACK = {f"attack@{run}" for run in PARAMETERS["attack"]["runs"]}
END = {"figures", "report", "validate"}  # every parameter is validated, and most are told or drawn
ATTACKED = {"transfer", "lab"} | END


@pytest.fixture(scope="module")
def graph() -> nx.DiGraph:
    """Return DVC's graph: an arrow from each stage to those whose outputs, files or folders of them, it reads."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of what DVC calls
        return Repo(str(ROOT)).index.graph


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("train.regression-lr-1e-2.epochs", {"train@regression-lr-1e-2"} | END),
        ("train.mlp.epochs", {"train@mlp", "attack@mlp"} | ATTACKED),
        ("attack.bench.pgd.steps", EACH_ATTACK | ATTACKED),
        ("theory.sigmoid.traced_at", {"theory"} | END),
        ("evaluation.train_subset", EACH_RUN | EACH_ATTACK | ATTACKED),
    ],
)
def test_a_parameter_reruns_what_depends_on_it_and_nothing_else(graph: nx.DiGraph, key: str, stages: set[str]) -> None:
    reading = set()
    for stage in graph:
        for dependency in (each for each in stage.deps if each.def_path == "params.yaml"):
            names = dependency.params if isinstance(dependency, ParamsDependency) else Params.model_fields
            reading |= {stage for name in names if f"{key}.".startswith(f"{name}.")}
    # What `validate` writes is the same for all parameters that pass.
    without = graph.subgraph(stage for stage in graph if stage.addressing != "validate")
    later = set().union(*(nx.ancestors(without, stage) for stage in reading & without.nodes))
    assert {stage.addressing for stage in reading | later if stage.path_in_repo == "dvc.yaml"} == stages


@every_stage
def test_a_stage_says_what_it_does_and_keeps_text_in_git(name: str) -> None:
    stage = STAGES[name]
    assert len(stage["desc"]) > 20
    assert stage["cmd"].split()[:4] == ["exec", "python", "-m", f"stages.{name}"]
    # A name from a file becomes part of a command only after the validation.
    assert ("${" in stage["cmd"]) == ("data/validated.txt" in stage["deps"])
    # An uncached or persistent output costs the run cache, which is right only for what comes from a network.
    kept = [out for out in stage.get("outs", []) if not isinstance(out, str)]
    assert name not in PIPELINE["stages"] or kept == ([{"data/raw": {"persist": True}}] if name == "download" else [])
    shown = [options for kind in ("metrics", "plots") for entry in stage.get(kind, []) for options in entry.values()]
    assert all(options["cache"] is False for options in shown)


def test_every_curve_has_its_overlay_with_labelled_axes() -> None:
    plots = [options for plot in PIPELINE["plots"] for options in plot.values()]
    curves = {f"plots/curves/{run}.csv" for run in PARAMETERS["train"]}
    attacks = {
        f"plots/{kind}/{run}.csv" for run in PARAMETERS["attack"]["runs"] for kind in ("attack", "pgd", "certified")
    }
    assert {path for options in plots for path in options["y"]} == curves | attacks
    for options in plots:
        assert options.keys() >= {"x", "y", "y_label"}
        assert "x_label" in options or options["x"] == "epoch"  # DVC labels the axis with the column's name


def test_the_constraints_pin_every_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pinned = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}
    extras = ("", *PYPROJECT["project"]["optional-dependencies"])
    asked = [Requirement(line) for extra in extras for line in requirements(extra)]
    assert [each.name for each in asked if versions[canonicalize_name(each.name)] not in each.specifier] == []
    assert len(asked) > 50
