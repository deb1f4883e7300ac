"""Images are kept, downloaded, drawn or packed, and read again as they were."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tqdm import tqdm

from descent.io.errors import DataError, DownloadError
from descent.io.files import sha256
from descent.io.layout import SOURCE
from descent.io.schema import Drawn, Params, PublishedImages
from descent.sources.garments import draw_garments
from descent.sources.images import ImageSettings, obtain_images
from descent.sources.published import DRAWN, FASHION_CLASSES, FILES, FOLDER, OTHERS, PUBLISHED, title, warning
from descent.sources.raw import read_raw
from descent.sources.vision import torchvision
from tests.sources.test_pictures import fill, in_its_place

SETTINGS = ImageSettings(images="fashion-mnist", mirrors={}, fallback="drawn", drawn=Drawn(train=20, test=20))


def idx(array: torch.Tensor) -> bytes:
    """Return a gzipped IDX file: two zeros, the type, the number of dimensions, each of them, and the bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.numpy().tobytes(), mtime=0)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with four small files, which count as the published ones of every set."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for part, tensor in draw_garments(12, 10, seed=0).items():
        (folder / FILES[part]).write_bytes(idx(tensor))
    digests = {part: sha256(folder / file) for part, file in FILES.items()}
    for name, published in PUBLISHED.items():
        monkeypatch.setitem(PUBLISHED, name, published._replace(sha256=digests))
    return folder


def obtained(
    raw: Path,
    own_mirror: Path | None = None,
    pictures: Path = Path(),  # noqa: B008 - it cannot be changed
    **changes: Any,  # noqa: ANN401 - each setting has its own type
) -> tuple[dict[str, str], list[str]]:
    """Obtain images; return what is recorded of them, and the names of the files that were downloaded."""
    downloads: list[str] = []

    @contextmanager
    def progress(name: str, unit: str) -> Iterator["tqdm[Any]"]:
        downloads.append(name)
        yield tqdm(disable=True)

    own = str(own_mirror) if own_mirror else None
    return obtain_images(SETTINGS._replace(**changes), 0, raw, pictures, own, progress), downloads


def test_only_missing_and_wrong_files_are_downloaded(tmp_path: Path, mirror: Path) -> None:
    raw, names = tmp_path / "raw", list(FILES.values())
    assert obtained(raw, mirror) == ({"source": "fashion-mnist"}, names)
    (raw / names[1]).unlink()
    (raw / names[3]).write_text("damaged", encoding="utf-8")
    (raw / OTHERS).touch()
    assert obtained(raw, mirror)[1] == [names[1], names[3]]
    assert {path.name: sha256(path) for path in raw.iterdir()} == {name: sha256(mirror / name) for name in names}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_as_they_are(tmp_path: Path, mirror: Path, name: str) -> None:
    recorded, _ = obtained(tmp_path / "raw", mirror, images=name)
    tensors, classes = read_raw(tmp_path / "raw", recorded)
    torch.testing.assert_close(tensors, draw_garments(12, 10, seed=0))
    assert classes == list(PUBLISHED[name].classes)


def test_garments_are_drawn_where_no_mirror_delivers(tmp_path: Path, mirror: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / FILES["train_labels"]).touch()
    recorded, _ = obtained(raw)
    assert recorded == {"source": DRAWN, "sha256": sha256(raw / OTHERS)}
    assert [path.name for path in raw.iterdir()] == [OTHERS]
    tensors, classes = read_raw(raw, recorded)
    torch.testing.assert_close(tensors, draw_garments(20, 20, seed=0))
    assert classes == list(FASHION_CLASSES)


def flip(path: Path) -> None:
    """Flip one bit of the last byte."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


@pytest.mark.parametrize("damage", [Path.unlink, flip, in_its_place(Path.mkdir), in_its_place(os.mkfifo)])
@pytest.mark.parametrize(("images", "file"), [("fashion-mnist", FILES["train_images"]), ("folder", OTHERS)])
def test_a_damaged_file_is_refused_by_its_name(
    tmp_path: Path, mirror: Path, images: str, file: str, damage: Callable[[Path], object]
) -> None:
    raw = tmp_path / "raw"
    recorded, _ = obtained(raw, mirror, fill(tmp_path / "images"), images=images)
    damage(raw / file)
    with pytest.raises(DataError, match=f"^{raw / file}: .*`dvc repro"):
        read_raw(raw, recorded)


@pytest.mark.parametrize(
    ("update", "own", "kept", "remedy"),
    [
        ({"images": "mnist"}, False, False, "the synthetic fallback exists for Fashion-MNIST only"),
        ({"fallback": "none"}, False, False, "let data.fallback in params.yaml be `drawn`"),
        ({}, True, False, "garments are drawn only where it is not set"),
        ({}, False, True, "or try again later; t10k-labels-idx1-ubyte.gz in "),
    ],
)
def test_garments_are_refused_with_a_remedy(
    tmp_path: Path, mirror: Path, update: dict[str, Any], own: bool, kept: bool, remedy: str
) -> None:
    raw = tmp_path / "raw"
    if kept:
        raw.mkdir()
        (raw / FILES["test_labels"]).write_bytes((mirror / FILES["test_labels"]).read_bytes())
    with pytest.raises(DownloadError, match=f"Set DESCENT_MIRROR to .*{remedy}"):
        obtained(raw, tmp_path / "nowhere" if own else None, **update)
    assert {path.name for path in raw.glob("*")} == ({FILES["test_labels"]} if kept else set())


def test_other_files_in_the_output_and_a_link_in_its_place_are_refused(tmp_path: Path, mirror: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / SOURCE.name).touch()
    (raw / ".DS_Store").touch()
    obtained(raw, mirror)
    (raw / "thesis").mkdir()
    with pytest.raises(DataError, match=r"raw/thesis: no file of this stage; move it elsewhere"):
        obtained(raw, mirror)
    (tmp_path / "link").symlink_to(raw)
    with pytest.raises(DataError, match=r"link is a link, and this stage writes there"):
        obtained(tmp_path / "link", mirror)


def test_the_root_of_torchvisions_data_sets_is_a_mirror(tmp_path: Path, mirror: Path) -> None:
    below = tmp_path / "root" / "MNIST" / "raw"
    below.parent.mkdir(parents=True)
    mirror.rename(below)
    assert obtained(tmp_path / "raw", tmp_path / "root", images="mnist")[0] == {"source": "mnist"}


def test_a_folder_of_pictures_is_packed(tmp_path: Path, mirror: Path) -> None:
    raw, pictures = tmp_path / "raw", fill(tmp_path / "images")
    obtained(raw, mirror)
    recorded, _ = obtained(raw, pictures=pictures, images="folder")
    assert recorded == {"source": FOLDER, "sha256": sha256(raw / OTHERS)}
    assert [path.name for path in raw.iterdir()] == [OTHERS]
    tensors, classes = read_raw(raw, recorded)
    assert classes == ["apple", "pear"]
    assert tensors["train_images"].shape == (6, 10, 12)


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_classes_are_torchvisions(name: str, params: Params) -> None:
    theirs = getattr(torchvision.datasets, PUBLISHED[name].folder)
    assert sorted(FILES.values()) == sorted(file for file, _ in theirs.resources)
    # torchvision calls the digits "0 - zero" and so on
    assert list(PUBLISHED[name].classes) == [words.partition(" - ")[0] for words in theirs.classes]
    assert PUBLISHED[name].sha256.keys() == FILES.keys()
    assert all(len(digest) == 64 for digest in PUBLISHED[name].sha256.values())
    assert set(params.data.mirrors) == set(PUBLISHED) == {*get_args(PublishedImages)}


def test_only_fashion_mnist_needs_no_warning() -> None:
    assert [warning(source) is None for source in (*PUBLISHED, DRAWN, FOLDER)] == [True, False, False, False, False]
    assert [title(source) for source in ("mnist", FOLDER)] == ["MNIST", "images of a folder"]
