"""Verified images are kept, restored or downloaded, and garments are drawn for Fashion-MNIST only."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from descent.io.errors import DataError, DownloadError
from descent.io.files import sha256
from descent.io.layout import SOURCE
from descent.io.schema import Drawn
from descent.sources.download import Progress
from descent.sources.images import ImageSettings, Surroundings, obtain_images, own_mirrors
from descent.sources.published import DRAWN, FILES, FOLDER, PUBLISHED
from tests.sources.test_pictures import fill

SETTINGS = ImageSettings(images="fashion-mnist", mirrors={}, fallback="drawn", drawn=Drawn(train=20, test=20))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with four small files, which count as the published ones of every set."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for part, file in FILES.items():
        (folder / file).write_text(part, encoding="utf-8")
    sha = {part: sha256(folder / file) for part, file in FILES.items()}
    md5 = {part: hashlib.md5(part.encode(), usedforsecurity=False).hexdigest() for part in FILES}
    published = {name: each._replace(sha256=sha, md5=md5) for name, each in PUBLISHED.items()}
    monkeypatch.setattr("descent.sources.images.PUBLISHED", published)
    return folder


def prepared(
    own_mirror: Path | None = None, cache: Path | None = None, hashed: set[Path] | None = None
) -> tuple[Surroundings, list[str]]:
    """Return surroundings, and the names of the files whose download it is told of."""
    downloads: list[str] = []

    @contextmanager
    def listed(name: str) -> Iterator[Progress]:
        downloads.append(name)
        yield lambda received, total: None

    def progress_bar(name: str) -> AbstractContextManager[Progress]:
        return listed(name)

    own = str(own_mirror) if own_mirror else None
    return Surroundings(own, lambda: cache, lambda folder: hashed or set(), progress_bar), downloads


def test_only_missing_and_wrong_files_are_downloaded(tmp_path: Path, mirror: Path) -> None:
    raw, names = tmp_path / "raw", list(FILES.values())
    surroundings, downloads = prepared(mirror)
    assert obtain_images(SETTINGS, 0, raw, tmp_path, surroundings)[0] == "fashion-mnist"
    assert downloads == names
    (raw / names[1]).unlink()
    (raw / names[3]).write_text("damaged", encoding="utf-8")
    obtain_images(SETTINGS, 0, raw, tmp_path, surroundings)
    assert downloads[4:] == [names[1], names[3]]
    assert {path.name: sha256(path) for path in raw.iterdir()} == {name: sha256(mirror / name) for name in names}


def test_the_cache_restores_files_without_a_download(tmp_path: Path, mirror: Path) -> None:
    cache = tmp_path / "cache"
    for part, file in FILES.items():
        md5 = hashlib.md5(part.encode(), usedforsecurity=False).hexdigest()
        (cache / md5[:2]).mkdir(parents=True, exist_ok=True)
        (cache / md5[:2] / md5[2:]).write_bytes((mirror / file).read_bytes())
    surroundings, downloads = prepared(cache=cache)
    obtain_images(SETTINGS, 0, tmp_path / "raw", tmp_path, surroundings)
    assert downloads == []
    assert len(list((tmp_path / "raw").iterdir())) == 4


def test_garments_are_drawn_where_no_mirror_delivers(tmp_path: Path, mirror: Path) -> None:
    source, classes = obtain_images(SETTINGS, 0, tmp_path / "raw", tmp_path, prepared()[0])
    assert (source, len(classes)) == (DRAWN, 10)
    assert {path.name for path in (tmp_path / "raw").iterdir()} == set(FILES.values())


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
    surroundings, _ = prepared(tmp_path / "nowhere" if own else None)
    with pytest.raises(DownloadError, match=f"Set DESCENT_MIRROR to .*{remedy}"):
        obtain_images(SETTINGS._replace(**update), 0, raw, tmp_path, surroundings)
    assert not (raw / FILES["train_images"]).exists()


def test_other_files_in_the_output_are_refused_where_dvc_hashes_them(tmp_path: Path, mirror: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / SOURCE.name).touch()
    (raw / "thesis.tex").touch()
    obtain_images(SETTINGS, 0, raw, tmp_path, prepared(mirror, hashed={raw / SOURCE.name})[0])
    with pytest.raises(DataError, match=r"thesis.tex: no file of this stage; move it elsewhere"):
        obtain_images(SETTINGS, 0, raw, tmp_path, prepared(mirror, hashed={raw / "thesis.tex"})[0])


def test_the_root_of_torchvisions_data_sets_stands_before_the_named_folder(tmp_path: Path) -> None:
    assert own_mirrors(None, "MNIST") == []
    assert own_mirrors("https://example.org", "MNIST") == ["https://example.org"]
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    assert own_mirrors(str(tmp_path), "MNIST") == [str(tmp_path / "MNIST" / "raw"), str(tmp_path)]


def test_a_folder_of_pictures_is_packed_and_what_dvc_does_not_know_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw, pictures = tmp_path / "raw", fill(tmp_path / "images")
    surroundings, _ = prepared(hashed={path.resolve() for path in pictures.rglob("*.png")})
    settings = SETTINGS._replace(images="folder")
    assert obtain_images(settings, 0, raw, pictures, surroundings) == (FOLDER, ["apple", "pear"])
    assert {path.name for path in raw.iterdir()} == set(FILES.values())
    assert "not yet known to DVC" in caplog.text
    caplog.clear()
    for part in ("train", "test"):
        (pictures / f"{part}.dvc").touch()
    obtain_images(settings, 0, raw, pictures, prepared(hashed={*pictures.rglob("*.png")})[0])
    assert caplog.text == ""
