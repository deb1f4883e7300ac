"""Security: no stranger is asked, nothing that is read is run, no name reaches a shell."""

import re
from pathlib import Path

import pytest

from tests.faults.conftest import Elsewhere
from tests.imports import ROOT, imports
from tests.workspace import NO_MIRROR, Workspace, copy

OURS = sorted(path for folder in ("src", "stages", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
# What can run code that it reads, or write where a name in an archive says.
DANGEROUS = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "tarfile", "zipfile", "code", "runpy"}
CALLS = r"torch\.load|allow_pickle|(?<!\.)\beval\(|\bexec\(|shell=True|os\.system|unpack_archive|yaml\.unsafe"


def stage_of(words: list[str]) -> str | None:
    """Return the stage that a command line runs."""
    return next((word.removeprefix("stages.") for word in words if word.startswith("stages.")), None)


@pytest.mark.slow
def test_every_process_of_the_pipeline_asks_the_mirror_only_and_starts_no_other_program(elsewhere: Elsewhere) -> None:
    host, _, port = NO_MIRROR.removeprefix("http://").partition(":")
    asked = [heard for heard in elsewhere.heard if heard.event.startswith("socket.")]
    assert [heard for heard in asked if f"'{host}', {port}" not in heard.args] == []
    assert {stage_of(heard.words) for heard in asked} == {"download"}  # and the recorder works
    started = [heard for heard in elsewhere.heard if not heard.event.startswith("socket.")]
    # Without a home there is no list of fonts either, and matplotlib asks for one.
    others = [heard for heard in started if not heard.args.startswith("('fc-list', ['fc-list', ")]
    assert [heard for heard in others if stage_of(heard.words)] == []
    assert [heard for heard in started if heard.event == "subprocess.Popen" and "stages.train" in heard.args]  # by DVC


def test_no_code_of_ours_can_run_what_it_reads() -> None:
    found = {path.name: imports(path) & DANGEROUS | set(re.findall(CALLS, path.read_text("utf-8"))) for path in OURS}
    assert {name: dangers for name, dangers in found.items() if dangers} == {}
    assert len(found) > 60


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a; touch pwned; echo ", "../../pwned", "$(touch pwned)"])
def test_a_hostile_name_of_a_run_reaches_no_shell(miniature: Workspace, tmp_path: Path, name: str) -> None:
    workspace, victim = copy(miniature, tmp_path / "hostile"), tmp_path / "pwned.safetensors"
    victim.write_text("here first")
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("  regression-lr-1e-4:", f"  '{name}':"), "utf-8")
    said = workspace.run("dvc", "repro", status=255)
    assert "String should match pattern" in said or "are missing from 'params.yaml'" in said
    assert victim.read_text() == "here first"
    assert [path for path in workspace.folder.rglob("pwned*") if ".dvc" not in path.parts] == []
