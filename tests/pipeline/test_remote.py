"""Data and weights are shared through a DVC remote, as docs/remote.md says."""

import subprocess
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.walkthrough import follow
from tests.workspace import Workspace, cloned, copy


@pytest.mark.slow
def test_the_page_on_remotes_with_a_folder(miniature: Workspace, tmp_path: Path) -> None:
    workspace, origin = copy(miniature, tmp_path / "here"), str(tmp_path / "origin")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace.folder), origin], check=True)
    workspace.run("git", "remote", "add", "origin", origin)
    workspace.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    page, others = ROOT / "docs" / "remote.md", "dvc repro --pull"
    typed = follow(workspace, page, lambda typed: typed == others, lambda typed: typed.replace("/mnt", str(tmp_path)))
    assert len(typed) == 3

    clone = cloned(tmp_path / "origin", tmp_path / "there")
    assert "Running stage" not in follow(clone, page, lambda typed: typed != others)[others]
    assert clone.outputs() == workspace.outputs()
