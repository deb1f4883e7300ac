"""Verified images are kept and used again; garments are for those who never had them."""

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from descent.io.files import sha256
from descent.sources.published import FILES, PUBLISHED
from descent.sources.vision import torchvision
from tests.workspace import Workspace, copied_code

SETS = ("fashion-mnist", "mnist")


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the four files of each of two sets, of other bytes than the published ones."""
    folder = tmp_path_factory.mktemp("mirrors")
    for number, name in enumerate(SETS):
        (folder / name).mkdir()
        for part, file in FILES.items():
            shape = (20, 28, 28) if part.endswith("images") else (20,)
            header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            pixels = (np.arange(np.prod(shape)) % 10 + number).astype(np.uint8).tobytes()
            (folder / name / file).write_bytes(gzip.compress(header + pixels, mtime=0))
    return folder


@pytest.fixture
def project(tmp_path: Path, mirrors: Path) -> Workspace:
    """Return the project without results, which takes these files for the published ones, and no network."""
    workspace = copied_code(tmp_path / "project")
    module = workspace.folder / "src" / "descent" / "sources" / "published.py"
    text = module.read_text(encoding="utf-8")
    for name in SETS:
        for part, file in FILES.items():
            content = (mirrors / name / file).read_bytes()
            text = text.replace(PUBLISHED[name].sha256[part], sha256(mirrors / name / file))
            text = text.replace(PUBLISHED[name].md5[part], hashlib.md5(content, usedforsecurity=False).hexdigest())
    module.write_text(text, encoding="utf-8")
    workspace.set(data__mirrors={}, data__drawn__train=20, data__drawn__test=20)
    return workspace


def source(workspace: Workspace) -> str:
    """Return where the images come from, and see that the output has its five files and no other."""
    raw = workspace.folder / "data" / "raw"
    assert {path.name for path in raw.iterdir()} == {"source.json", *FILES.values()}
    told: str = json.loads((raw / "source.json").read_text(encoding="utf-8"))["source"]
    return told


def edit(workspace: Workspace) -> None:
    """Make the stage outdated by a line that changes nothing."""
    with (workspace.folder / "src" / "descent" / "io" / "params.py").open("a", encoding="utf-8") as file:
        file.write("# x\n")


@pytest.mark.slow
def test_verified_images_outlast_an_edit_and_their_deletion_without_a_network(
    project: Workspace, mirrors: Path
) -> None:
    project.run("dvc", "repro", "download", DESCENT_MIRROR=str(mirrors / "fashion-mnist"))
    assert source(project) == "fashion-mnist"
    edit(project)
    raw = project.folder / "data" / "raw"
    before = (raw / FILES["train_images"]).stat().st_mtime_ns
    assert project.ran("download") == {"download"}
    assert source(project) == "fashion-mnist"
    assert (raw / FILES["train_images"]).stat().st_mtime_ns == before

    edit(project)
    shutil.rmtree(raw)
    assert project.ran("download") == {"download"}
    assert source(project) == "fashion-mnist"

    project.set(data__images="mnist")
    project.run("dvc", "repro", "download", DESCENT_MIRROR=str(mirrors / "mnist"))
    assert source(project) == "mnist"
    project.set(data__images="fashion-mnist")
    edit(project)
    assert project.ran("download") == {"download"}
    assert source(project) == "fashion-mnist"


def test_a_file_of_the_users_in_the_output_stays_and_stops_the_stage(project: Workspace, mirrors: Path) -> None:
    raw = project.folder / "data" / "raw"
    (raw / "thesis").mkdir(parents=True)
    (raw / ".DS_Store").touch()
    (raw / "thesis" / "thesis.tex").write_text("mine", encoding="utf-8")
    download = ("python", "-m", "stages.download")
    said = project.run(*download, status=1, DESCENT_MIRROR=str(mirrors / "fashion-mnist"))
    assert re.fullmatch(r"ERROR: \S+data/raw/thesis/thesis.tex: no file of this stage; move it elsewhere\n", said)
    assert (raw / "thesis" / "thesis.tex").read_text(encoding="utf-8") == "mine"
    (raw / "thesis" / "thesis.tex").unlink()
    assert project.run(*download, DESCENT_MIRROR=str(mirrors / "fashion-mnist")) == ""


def test_a_link_in_the_place_of_the_output_is_refused(project: Workspace, tmp_path: Path) -> None:
    raw, own = project.folder / "data" / "raw", tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").touch()
    raw.parent.mkdir(exist_ok=True)
    raw.symlink_to(own)
    said = project.run("python", "-m", "stages.download", status=1)
    assert said.startswith("ERROR: data/raw is a link, and this stage writes there; ")
    assert [path.name for path in own.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_an_outage_is_not_remembered(project: Workspace, mirrors: Path) -> None:
    assert "Going on with DRAWN GARMENTS" in project.run("dvc", "repro", "download")
    assert source(project) == "drawn"
    assert not list((project.folder / ".dvc" / "cache" / "runs").rglob("*"))
    said = project.run("dvc", "repro", "--force", "download", DESCENT_MIRROR=str(mirrors / "fashion-mnist"))
    assert "DRAWN" not in said
    assert source(project) == "fashion-mnist"


def torchvisions(folder: Path) -> None:
    """Move the files to where torchvision keeps them."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in FILES.values():
        (folder / file).rename(raw / file)


def anothers(folder: Path) -> None:
    """Move the files to where torchvision keeps those of another set."""
    torchvisions(folder)
    (folder / "FashionMNIST").rename(folder / "MNIST")


def unpacked(folder: Path) -> None:
    """Unpack the files."""
    for file in FILES.values():
        (folder / file).with_suffix("").write_bytes(gzip.decompress((folder / file).read_bytes()))
        (folder / file).unlink()


def test_the_root_of_torchvision_is_a_mirror(project: Workspace, mirrors: Path, tmp_path: Path) -> None:
    shutil.copytree(mirrors / "fashion-mnist", tmp_path / "root")
    torchvisions(tmp_path / "root")
    said = project.run("python", "-m", "stages.download", DESCENT_MIRROR=str(tmp_path / "root"))
    assert said == ""
    assert source(project) == "fashion-mnist"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (shutil.rmtree, "No such file or directory"),
        (unpacked, "only train-images-idx3-ubyte is there; its hash is that of the packed file, train-images"),
        (lambda folder: (folder / FILES["test_labels"]).write_bytes(b"<p>Log in</p>"), "wrong file: expected SHA-256"),
        (anothers, "No such file"),
    ],
)
def test_no_garments_are_drawn_where_a_named_mirror_fails(
    project: Workspace, mirrors: Path, tmp_path: Path, damage: Callable[[Path], object], found: str
) -> None:
    shutil.copytree(mirrors / "fashion-mnist", tmp_path / "mirror")
    damage(tmp_path / "mirror")
    said = project.run("python", "-m", "stages.download", status=1, DESCENT_MIRROR=str(tmp_path / "mirror"))
    assert f"/mirror/{FILES['test_labels'] if 'wrong' in found else FILES['train_images']}: {found}" in said
    assert "Set DESCENT_MIRROR to a folder or address that has the files train-images-idx3-ubyte.gz, " in said
    assert "garments are drawn only where it is not set" in said
    assert "Traceback" not in said
    assert not (project.folder / "data" / "raw" / "source.json").exists()


def test_no_garments_are_drawn_over_verified_files(project: Workspace, mirrors: Path) -> None:
    raw = project.folder / "data" / "raw"
    raw.mkdir(parents=True)
    shutil.copy(mirrors / "fashion-mnist" / FILES["train_images"], raw)
    said = project.run("python", "-m", "stages.download", status=1)
    assert "or try again later; train-images-idx3-ubyte.gz in data/raw stays there" in said
    assert sha256(raw / FILES["train_images"]) == sha256(mirrors / "fashion-mnist" / FILES["train_images"])


@pytest.mark.parametrize(
    ("name", "theirs"), [("fashion-mnist", "FashionMNIST"), ("mnist", "MNIST"), ("kmnist", "KMNIST")]
)
def test_the_md5_and_the_folder_are_torchvisions(name: str, theirs: str) -> None:
    published = PUBLISHED[name]
    assert published.folder == theirs
    resources = dict(getattr(torchvision.datasets, theirs).resources)
    assert {file: published.md5[part] for part, file in FILES.items()} == resources


def draw(folder: Path, count: int = 2) -> None:
    """Draw a few pictures of two classes."""
    for part in ("train", "test"):
        for number, name in enumerate(("apple", "pear")):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = np.full((12, 12), 20 * number + index, dtype=np.uint8)
                pixels[number : number + 5] = 200
                Image.fromarray(pixels).save(folder / part / name / f"{index}.png")


LEFT = (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", "0.png~", ".0.png.swp", ".#0.png", "#0.png#", ".directory")


@pytest.mark.slow
def test_what_file_managers_and_editors_leave_changes_nothing_and_pictures_do(project: Workspace) -> None:
    images = project.folder / "images"
    draw(images)
    project.set(data__images="folder")
    assert project.ran("download") == {"download"}
    for name in LEFT:
        for folder in (images, images / "train", images / "train" / "pear"):
            (folder / name).write_text("x", encoding="utf-8")
    assert project.ran("download") == set()
    assert project.run("python", "-m", "stages.download").startswith("WARNING: images: not yet known to DVC")
    assert source(project) == "folder"

    shutil.copy(images / "train" / "pear" / "0.png", images / "train" / "pear" / "2.png")
    assert project.ran("download") == {"download"}
    (images / "train" / "pear" / "2.png").unlink()
    with (project.folder / ".dvcignore").open("a", encoding="utf-8") as file:
        file.write("1.png\n")
    said = project.run("dvc", "repro", "download", status=255)
    assert "images/train/apple/1.png: DVC would not notice a change of it" in said


@pytest.mark.parametrize(
    "name", ["images/train", *(pytest.param(name, marks=pytest.mark.slow) for name in ("images", "images/test/pear"))]
)
def test_a_linked_folder_is_refused(project: Workspace, name: str, tmp_path: Path) -> None:
    draw(project.folder / "images")
    project.set(data__images="folder")
    (project.folder / name).rename(tmp_path / "elsewhere")
    (project.folder / name).symlink_to(tmp_path / "elsewhere")
    said = project.run("python", "-m", "stages.download", status=1)
    assert said.startswith(f"ERROR: {name}: a link, and DVC would not notice a change behind it; ")


@pytest.mark.slow
def test_a_linked_picture_is_read_and_a_change_of_it_noticed(project: Workspace, tmp_path: Path) -> None:
    draw(project.folder / "images")
    project.set(data__images="folder")
    picture = project.folder / "images" / "train" / "pear" / "1.png"
    picture.rename(tmp_path / "1.png")
    picture.symlink_to(tmp_path / "1.png")
    assert project.ran("download") == {"download"}
    assert project.ran("download") == set()
    shutil.copy(project.folder / "images" / "train" / "apple" / "1.png", tmp_path / "1.png")
    assert project.ran("download") == {"download"}


@pytest.mark.slow
def test_pictures_that_dvc_knows_are_in_every_experiment_and_not_in_git(project: Workspace) -> None:
    draw(project.folder / "images")
    project.commit("Code")
    assert "images/train/" not in project.run("git", "ls-files", "images")
    said = project.run("dvc", "exp", "run", "--temp", "--set-param", "data.images=folder", "download", status=255)
    assert "images/train: no such folder; " in said
    assert "`dvc add images/train images/test`" in said

    project.run("dvc", "add", "images/train", "images/test")
    project.run("git", "add", "images")
    project.run("git", "commit", "--quiet", "--message", "Pictures")
    for name, options in (("elsewhere", ["--temp"]), ("here", [])):
        said = project.run("dvc", "exp", "run", *options, "--name", name, "-S", "data.images=folder", "download")
        assert "not yet known to DVC" not in said
    assert {*project.run("dvc", "exp", "list", "--name-only").split()} >= {"elsewhere", "here"}
    commits = project.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps").split()
    assert commits
    for commit in commits:
        assert ".png" not in project.run("git", "ls-tree", "-r", "--name-only", commit)
    assert ".png" not in project.run("git", "status", "--porcelain", "--untracked-files=all")
    assert source(project) == "folder"
