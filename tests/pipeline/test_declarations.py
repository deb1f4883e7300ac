"""The code keeps to its structure, and what each `dvc.yaml` lists is what its stages run and read."""

import ast
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from inspect import signature
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import Stage
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from descent.io import layout
from descent.io.schema import Params
from tests.imports import ROOT, closure, imports
from tools.environment import requirements

LIBRARY = sorted((ROOT / "src" / "descent").rglob("*.py"))
PROGRAMS = sorted((ROOT / "stages").glob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIPELINE, STUDIES, EXPORT = (
    YAML(typ="safe").load((ROOT / folder / "dvc.yaml").read_text(encoding="utf-8"))
    for folder in (".", "studies", "export")
)
PARAMETERS = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
ALL = PIPELINE["stages"] | STUDIES["stages"] | EXPORT["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in ALL.items()}


def named(path: Path) -> str:
    """Name a test case after a file."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_knows_neither_dvc_nor_stages_nor_the_terminal(path: Path) -> None:
    packages = {module.partition(".")[0] for module in imports(path)}
    assert not packages & {"dvc", "stages", "tools", "tests", "tqdm", "argparse", "subprocess", "pickle"}
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "input", "eval", "exec"}


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        (
            "matplotlib",
            "all_figures comparison figures image_figures pictures study_figures style theory_figures",
        ),
        ("ruamel", "card params yaml"),
        ("torchvision", "vision"),
        ("sklearn", "diabetes"),
        ("sympy", "sigmoid"),
        ("networkx", "theory_figures"),
        ("jinja2", "page"),
        ("PIL", "pictures style"),
        ("scipy", "summary"),
        ("dask", "engine"),
        ("distributed", "engine"),
        ("onnx", "onnx"),
    ],
)
def test_a_heavy_package_has_its_rooms(package: str, modules: str) -> None:
    users = {path.stem for path in LIBRARY if package in {name.partition(".")[0] for name in imports(path)}}
    assert users == set(modules.split())


@pytest.mark.parametrize("path", [*LIBRARY, *PROGRAMS], ids=named)
def test_our_own_modules_are_imported_in_one_form(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & {"descent", "stages"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("descent"):
            # The closure of imports, and the names of trials with it, follow this form alone.
            assert (node.module or "").count(".") == 2, f"line {node.lineno}: `from descent.package.module import name`"


def test_a_class_and_a_type_have_a_name_of_their_own() -> None:
    names = Counter[str]()
    for path in LIBRARY:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                names[node.name] += 1
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                names[name] += name[0].isupper() and not name.isupper()
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", [*LIBRARY, *PROGRAMS], ids=named)
def test_nothing_can_load_a_pickle(path: Path) -> None:
    assert not re.search(r"torch\.load|pickle|joblib|\.load\(.*allow_pickle", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_its_script_and_the_packages_that_it_imports_and_no_other(name: str) -> None:
    listed = {dep for dep in STAGES[name]["deps"] if dep.startswith(("src/", "stages/"))}
    files = closure(f"stages.{name}") - {"src/descent/__init__.py"}  # a docstring alone
    packages = {"/".join(file.split("/")[:3]) for file in files if file.startswith("src/")}
    assert listed == packages | {file for file in files if file.startswith("stages/")}
    assert len(packages) <= (6 if name == "study" else 5)


def test_every_package_has_its_layer() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = " | ".join(tool["importlinter"]["contracts"][0]["layers"]).split(" | ")
    packages = {f"descent.{path.parent.name}" for path in (ROOT / "src" / "descent").glob("*/__init__.py")}
    assert sorted(layers) == sorted(packages | {"stages", "tools", "benchmarks"})


@pytest.mark.parametrize("pipeline", [".", "studies", "export"])
def test_the_lock_has_the_stages_of_the_pipeline_and_no_other(pipeline: str) -> None:
    yaml = YAML(typ="safe")
    locked = yaml.load((ROOT / pipeline / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    declared = yaml.load((ROOT / pipeline / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name.partition("@")[0] for name in locked} == declared.keys()


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("__init__.py")), ids=named)
def test_a_package_is_a_docstring(path: Path) -> None:
    (statement,) = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)


@pytest.mark.parametrize("path", [*LIBRARY, *PROGRAMS, *sorted((ROOT / "tools").glob("*.py"))], ids=named)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 250
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    long = {node.name: lines for node in functions if (lines := (node.end_lineno or 0) - node.lineno + 1) > 60}
    assert long == {}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_calls_and_writes(name: str) -> None:
    tree = ast.parse((ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8"))
    (main,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert (main.end_lineno or 0) - main.lineno + 1 <= 40
    assert sum(isinstance(node, ast.If | ast.IfExp | ast.For | ast.While | ast.Try) for node in ast.walk(main)) <= 4


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_every_parameter_that_it_reads_and_no_other(name: str) -> None:
    keys = [key for key in STAGES[name].get("params", []) if isinstance(key, str)]  # of params.yaml
    listed = {re.sub(r"\$\{(key|item)\}", "*", key) for key in keys}
    path = ROOT / "stages" / f"{name}.py"
    assert listed == (set() if "params.yaml" in STAGES[name]["deps"] else set(read_parameters(path)))
    assert ("params.yaml" in STAGES[name]["deps"]) == (name in ("validate", "report"))  # they read all


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_whose_command_has_a_name_from_a_file_waits_for_the_validation(name: str) -> None:
    assert ("${" in STAGES[name]["cmd"]) == ("data/validated.txt" in STAGES[name]["deps"])


def parameters(stage: Stage) -> Iterator[str]:
    """Yield the keys of params.yaml that a stage depends on."""
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency) and dependency.def_path == "params.yaml":
            yield from dependency.params
        elif dependency.def_path == "params.yaml":
            yield from Params.model_fields


def read_parameters(path: Path) -> Iterator[str]:
    """Yield the dotted name of each part of `params` that a stage reads; an index becomes a star.

    A stage that makes a dictionary of them reads all.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if any(dotted(node) == ["params", "model_dump"] for node in ast.walk(tree)):
        yield from Params.model_fields
        return
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)}
    for node in ast.walk(tree):
        if id(node) not in inner and (chain := dotted(node)) and chain[0] == "params" and len(chain) > 1:
            yield ".".join(chain[1:])


def dotted(node: ast.AST) -> list[str]:
    """Return `params.a[b]` as params, a, *; nothing for what is no such chain."""
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value, attr=name):
            return [*chain, name] if (chain := dotted(value)) else []
        case ast.Subscript(value=value):
            return [*chain, "*"] if (chain := dotted(value)) else []
        case _:
            return []


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_every_file_that_it_names(name: str) -> None:
    stage = STAGES[name]
    written = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    listed = {
        re.sub(r"\$\{.*?\}", "*", path)
        for path in [*stage["deps"], *(out if isinstance(out, str) else next(iter(out)) for out in written)]
    }
    for named in paths(ROOT / "stages" / f"{name}.py"):
        assert any(overlap(named, path) for path in listed), f"{named} is not listed"


def overlap(one: str, other: str) -> bool:
    """Say whether two paths with stars can be the same, or one a folder of the other."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return all(fnmatch(a, b) or fnmatch(b, a) for a, b in pairs)


def paths(path: Path) -> Iterator[str]:
    """Yield the paths of the layout that a stage names; what is filled in becomes a star."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "descent.io.layout":
            for each in (getattr(layout, alias.name) for alias in node.names):
                found = each if isinstance(each, Path) else each(*["*"] * len(signature(each).parameters))
                if found not in (layout.PARAMS, layout.STUDIES, layout.CHECKPOINTS):
                    yield found.as_posix()


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_a_stage_has_its_paths_from_the_layout(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Path" and call.args]
    texts = [call for call in made if isinstance(call.args[0], ast.JoinedStr | ast.Constant)]
    assert [ast.unparse(call) for call in texts if path.name != "__init__.py"] == []


EACH_RUN = {f"train@{run}" for run in PARAMETERS["train"]}
EACH_ATTACK = {f"attack@{run}" for run in PARAMETERS["attack"]["runs"]}
END = {"figures", "report", "validate"}  # every parameter is validated, and most are told or drawn


@pytest.fixture(scope="module")
def graph() -> nx.DiGraph:
    """Return DVC's graph: an arrow from each stage to those whose outputs, files or folders of them, it reads."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of what DVC calls
        return Repo(str(ROOT)).index.graph


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("train.regression-lr-1e-2.epochs", {"train@regression-lr-1e-2"} | END),
        ("train.mlp.epochs", {"train@mlp", "attack@mlp", "transfer"} | END),
        ("attack.bench.pgd.steps", EACH_ATTACK | {"transfer"} | END),
        ("theory.sigmoid.traced_at", {"theory"} | END),
        ("evaluation.train_subset", EACH_RUN | EACH_ATTACK | {"transfer"} | END),
    ],
)
def test_a_parameter_reruns_what_depends_on_it_and_nothing_else(graph: nx.DiGraph, key: str, stages: set[str]) -> None:
    reading = {stage for stage in graph if any(f"{key}.".startswith(f"{read}.") for read in parameters(stage))}
    # What `validate` writes is the same for all parameters that pass.
    without = graph.subgraph(stage for stage in graph if stage.addressing != "validate")
    later = set().union(*(nx.ancestors(without, stage) for stage in reading & without.nodes))
    found = {stage.addressing for stage in reading | later if stage.path_in_repo == "dvc.yaml"}
    assert found == stages


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_does_and_keeps_text_in_git(name: str) -> None:
    stage = STAGES[name]
    assert len(stage["desc"]) > 20
    assert stage["cmd"].split()[:4] == ["exec", "python", "-m", f"stages.{name}"]
    # An uncached or persistent output costs the run cache, which is right only for what comes from a network.
    kept = [out for out in stage.get("outs", []) if not isinstance(out, str)]
    assert name not in PIPELINE["stages"] or kept == ([{"data/raw": {"persist": True}}] if name == "download" else [])
    shown: list[dict[str, Any]] = [*stage.get("metrics", []), *stage.get("plots", [])]
    assert all(options["cache"] is False for entry in shown for options in entry.values())


def test_every_classifier_and_regression_has_its_overlay() -> None:
    overlaid = {path for plot in PIPELINE["plots"] for options in plot.values() for path in options["y"]}
    curves = {f"plots/curves/{run}.csv" for run in PARAMETERS["train"]}
    attacks = {f"plots/{kind}/{run}.csv" for run in PARAMETERS["attack"]["runs"] for kind in ("attack", "pgd")}
    assert overlaid == curves | attacks
    for plot in PIPELINE["plots"]:
        (options,) = plot.values()
        assert options.keys() >= {"x", "y", "y_label"}
        assert "x_label" in options or options["x"] == "epoch"  # DVC labels the axis with the column's name


def pins() -> dict[str, str]:
    """Return the pinned version of each package by its canonical name."""
    pinned = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()]
    assert all(re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(requirement.specifier)) for requirement in pinned)
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}


def test_the_constraints_pin_everything_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    versions = pins()
    asked = [Requirement(line) for extra in ("", *PROJECT["optional-dependencies"]) for line in requirements(extra)]
    assert len(asked) > 50
    for requirement in asked:
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_pin_supports_the_oldest_python() -> None:
    oldest = PROJECT["requires-python"].partition(">=")[2].partition(",")[0] + ".0"
    refusing = {
        name: supported
        for name, version in pins().items()
        if (found := installed(name)) and found["Version"] == version
        if (supported := found["Requires-Python"]) and oldest not in SpecifierSet(supported)
    }
    assert oldest == "3.11.0"
    assert refusing == {}, "`make lock` resolves anew"


@pytest.mark.slow
def test_every_pin_is_installed_where_all_tests_run() -> None:
    assert [name for name in pins() if not installed(name)] == []


def installed(name: str) -> PackageMetadata | None:
    """Return what an installed package says of itself, None where it is not installed."""
    try:
        return metadata(name)
    except PackageNotFoundError:
        return None
