"""Security."""

import ast
import re

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from descent.io.schema import Params
from tests.faults.conftest import Elsewhere
from tests.faults.table import Tell
from tests.imports import ROOT, imports
from tests.workspace import NO_MIRROR, Workspace, copy

OURS = sorted(path for folder in ("src", "stages", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
# What can run code that it reads, or write where a name in an archive says.
DANGEROUS = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "tarfile", "zipfile", "code", "runpy"}


def stage_of(words: list[str]) -> str | None:
    """Return the stage that a command line runs."""
    return next((word.removeprefix("stages.") for word in words if word.startswith("stages.")), None)


@pytest.mark.slow
def test_the_only_requests_are_those_to_the_mirrors(elsewhere: Elsewhere, tell: Tell) -> None:
    host, _, port = NO_MIRROR.removeprefix("http://").partition(":")
    told = [heard for heard in elsewhere.heard if heard.event.startswith("socket.")]
    strangers = [heard for heard in told if f"'{host}', {port}" not in heard.args]
    tell(
        "a resolver and a socket that record, in every process of the pipeline, DVC's too",
        "nothing but the mirror is asked",
        "nothing else was" if not strangers else str(strangers),
    )
    assert not strangers
    assert {stage_of(heard.words) for heard in told} == {"download"}  # and the recorder works


@pytest.mark.slow
def test_no_stage_starts_another_program_or_loads_a_pickle(elsewhere: Elsewhere, tell: Tell) -> None:
    done = [heard for heard in elsewhere.heard if stage_of(heard.words) and not heard.event.startswith("socket.")]
    # Without a home there is no list of fonts either, and matplotlib asks for one.
    done = [heard for heard in done if not heard.args.startswith("('fc-list', ['fc-list', ")]
    tell("the same recorder, in every stage", "no program of ours is started, no pickle loaded", f"{len(done)} times")
    assert not done
    # The recorder hears such things: DVC starts the stages.
    assert [heard for heard in elsewhere.heard if heard.event == "subprocess.Popen" and "stages.train" in heard.args]


def test_nothing_of_ours_can_run_what_it_reads(tell: Tell) -> None:
    found = {path.name: imports(path) & DANGEROUS for path in OURS}
    calls = re.compile(
        r"torch\.load|allow_pickle|(?<!\.)\beval\(|\bexec\(|shell=True|os\.system|unpack_archive|yaml\.unsafe"
    )
    found |= {path.name: {match[0]} for path in OURS if (match := calls.search(path.read_text(encoding="utf-8")))}
    offending = {name: what for name, what in found.items() if what}
    tell("every line of ours", "no pickle, no archive, no eval, no shell", str(offending or "none"))
    assert not offending
    assert all(ast.parse(path.read_text(encoding="utf-8")) for path in OURS)
    assert len(OURS) > 60


def test_no_output_is_a_pickle_or_an_archive(miniature: Workspace, tell: Tell) -> None:
    kept = {path.name: path.read_bytes() for path in (miniature.folder / ".ckpt").iterdir()}
    magic = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
    found = [name for name, content in {**miniature.outputs(), **kept}.items() if content.startswith(magic)]
    tell("the first bytes of every output", "no pickle, no archive", str(found or "none"))
    assert not found


@pytest.fixture(scope="module")
def workspace(miniature: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a clone with all data, where only what a test changes is due."""
    return copy(miniature, tmp_path_factory.mktemp("hostile") / "project")


def renamed(workspace: Workspace, name: str) -> None:
    """Give a run another name, wherever it stands."""
    path, yaml = workspace.folder / "params.yaml", YAML()
    params = yaml.load(path.read_text(encoding="utf-8"))
    params["train"][name] = params["train"].pop("regression-lr-1e-4")
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


HOSTILE = (
    "a; touch pwned; echo ",
    "../../pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a && touch pwned",
    "a | touch pwned",
    "a' ; touch pwned ; '",
    'a" ; touch pwned ; "',
    "a > pwned",
    "-c touch",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_a_run_is_no_name(params: Params, name: str) -> None:
    values = params.model_dump()
    values["train"][name] = values["train"].pop("regression-lr-1e-4")
    with pytest.raises(ValidationError, match="String should match pattern"):
        Params.model_validate(values)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE[:3])
def test_a_hostile_name_of_a_run_reaches_no_shell(workspace: Workspace, name: str, tell: Tell) -> None:
    victim = workspace.folder.parent / "pwned.safetensors"
    victim.write_text("here first")
    renamed(workspace, name)
    try:
        whole = workspace.run("dvc", "repro", status=255)
        assert victim.read_text() == "here first"
    finally:
        workspace.run("git", "checkout", "--quiet", "--", ".")
        workspace.run("dvc", "checkout", "--quiet")
    lines = [line for line in whole.splitlines() if line.startswith("ERROR: ")]
    tell(f"a run named `{name}`", "refused before a shell sees the name", lines[0])
    assert "String should match pattern" in whole or "are missing from 'params.yaml'" in whole
    pwned = [path for path in workspace.folder.rglob("pwned*") if ".dvc" not in path.parts]
    assert not pwned


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        *(
            pytest.param(hostile, marks=pytest.mark.slow)
            for hostile in ('"><img src=x onerror=alert(1)>', "</td></tr></table><iframe src=//evil>", "{{ 7*7 }}")
        ),
    ],
)
def test_the_page_escapes_what_comes_from_parameters(workspace: Workspace, hostile: str, tell: Tell) -> None:
    workspace.set(data__mirrors={"fashion-mnist": [f"https://mirror.example/{hostile}"]})
    try:
        workspace.run("python", "-m", "stages.report")
        page = (workspace.folder / "report" / "index.html").read_text(encoding="utf-8")
    finally:
        workspace.run("git", "checkout", "--quiet", "--", ".")
        workspace.run("dvc", "checkout", "--quiet", "--force")
    raw = hostile in page and "<" in hostile
    tell(f"a mirror named `{hostile}`", "the page shows it as text", "it does not" if raw else "it does")
    assert not raw
    shown = hostile.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    assert f"https://mirror.example/{shown}" in page
