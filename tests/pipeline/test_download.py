"""Verified images are kept and used again; garments are for those who never had them."""

import json
import shutil
from pathlib import Path

import pytest

from descent.io.files import sha256
from descent.sources.garments import draw_garments
from descent.sources.published import FILES, OTHERS, PUBLISHED
from tests.sources.test_images import idx
from tests.sources.test_pictures import LEFT, fill
from tests.workspace import Workspace, copied_code


def write_mirror(folder: Path, train: int = 20, test: int = 20) -> Path:
    """Write the four files of a set, of other bytes than the published ones."""
    folder.mkdir()
    for part, tensor in draw_garments(train, test, seed=0).items():
        (folder / FILES[part]).write_bytes(idx(tensor))
    return folder


def take_for_published(workspace: Workspace, mirror: Path, name: str) -> None:
    """Let the code take the files of a mirror for the published ones of a set."""
    described = workspace.folder / "src" / "descent" / "sources" / "published.yaml"
    text = described.read_text(encoding="utf-8")
    for part, file in FILES.items():
        text = text.replace(PUBLISHED[name].sha256[part], sha256(mirror / file))
    described.write_text(text, encoding="utf-8")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return write_mirror(tmp_path / "mirror")


@pytest.fixture
def project(tmp_path: Path, mirror: Path) -> Workspace:
    """Return the project without results, which takes these files for the published ones, and no network."""
    workspace = copied_code(tmp_path / "project")
    take_for_published(workspace, mirror, "fashion-mnist")
    workspace.set(data__mirrors={}, data__drawn__train=20, data__drawn__test=20)
    return workspace


def source(workspace: Workspace) -> str:
    """Return where the images come from, and see that the output has its files and no other."""
    raw = workspace.folder / "data" / "raw"
    told: str = json.loads((raw / "source.json").read_text(encoding="utf-8"))["source"]
    files = FILES.values() if told in PUBLISHED else [OTHERS]
    assert {path.name for path in raw.iterdir()} == {"source.json", *files}
    return told


def edit(workspace: Workspace) -> None:
    """Make the stage outdated by a line that changes nothing."""
    with (workspace.folder / "src" / "descent" / "io" / "params.py").open("a", encoding="utf-8") as file:
        file.write("# x\n")


@pytest.mark.slow
def test_verified_images_outlast_an_edit_and_dvc_restores_them_offline(project: Workspace, mirror: Path) -> None:
    project.run("dvc", "repro", "download", DESCENT_MIRROR=str(mirror))
    edit(project)
    raw = project.folder / "data" / "raw"
    before = (raw / FILES["train_images"]).stat().st_mtime_ns
    assert project.ran("download") == {"download"}
    assert source(project) == "fashion-mnist"
    assert (raw / FILES["train_images"]).stat().st_mtime_ns == before

    edit(project)
    shutil.rmtree(raw)
    project.run("dvc", "checkout", "data/raw")
    assert project.ran("download") == {"download"}
    assert source(project) == "fashion-mnist"


@pytest.mark.slow
def test_an_outage_is_not_remembered(project: Workspace, mirror: Path) -> None:
    assert "Going on with DRAWN GARMENTS" in project.run("dvc", "repro", "download")
    assert source(project) == "drawn"
    assert not list((project.folder / ".dvc" / "cache" / "runs").rglob("*"))
    said = project.run("dvc", "repro", "--force", "download", DESCENT_MIRROR=str(mirror))
    assert "DRAWN" not in said
    assert source(project) == "fashion-mnist"


def test_no_garments_are_drawn_where_a_named_mirror_fails(project: Workspace) -> None:
    said = project.run("python", "-m", "stages.download", status=1, DESCENT_MIRROR="/nowhere")
    assert f"ERROR: no mirror delivered {FILES['train_images']}\n  file:///nowhere/" in said
    assert "garments are drawn only where it is not set" in said
    assert "Traceback" not in said
    assert not (project.folder / "data" / "raw" / "source.json").exists()


@pytest.mark.slow
def test_what_programs_leave_changes_nothing_and_a_linked_picture_does(project: Workspace, tmp_path: Path) -> None:
    images = fill(project.folder / "images")
    project.set(data__images="folder")
    assert project.ran("download") == {"download"}
    for name in LEFT:
        for folder in (images, images / "train", images / "train" / "pear"):
            (folder / name).write_text("x", encoding="utf-8")
    assert project.ran("download") == set()
    assert source(project) == "folder"

    picture, linked = images / "train" / "pear" / "1.png", tmp_path / "1.png"
    picture.rename(linked)
    picture.symlink_to(linked)
    assert project.ran("download") == set()
    shutil.copy(images / "train" / "apple" / "1.png", linked)
    assert project.ran("download") == {"download"}


@pytest.mark.slow
def test_pictures_that_dvc_knows_are_in_every_experiment_and_not_in_git(project: Workspace) -> None:
    fill(project.folder / "images")
    project.commit("Code")
    assert "images/train/" not in project.run("git", "ls-files", "images")
    said = project.run("dvc", "exp", "run", "--temp", "--set-param", "data.images=folder", "download", status=255)
    assert "images/train: no such folder; " in said
    assert "`dvc add images/train images/test`" in said

    project.run("dvc", "add", "images/train", "images/test")
    project.run("git", "add", "images")
    project.run("git", "commit", "--quiet", "--message", "Pictures")
    project.run("dvc", "exp", "run", "--temp", "--name", "pictures", "-S", "data.images=folder", "download")
    (commit,) = project.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/pictures").split()
    assert ".png" not in project.run("git", "ls-tree", "-r", "--name-only", commit)
    assert ".png" not in project.run("git", "status", "--porcelain", "--untracked-files=all")
