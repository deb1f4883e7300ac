"""The code that a result depends on is found, all of it and no other."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from descent.studies.source import source_digest, source_files
from tests.imports import ROOT, closure


@pytest.mark.parametrize("module", ["descent.studies.trials", "descent.report.page", "descent.io.errors"])
def test_the_files_are_those_that_the_pipeline_lists(module: str) -> None:
    assert [path.relative_to(ROOT).as_posix() for path in source_files(module)] == sorted(closure(module))


DEEP = '''"""Of deep."""
a = 1
class C:
    """Of C."""
    b = """c"""
    def f(self):
        """Of f."""
    async def g(self):
        """Of g."""
'''
FILES = {"__init__": "", "top": "import json\ndef f():\n    import house.deep\n", "deep": DEEP, "other": "b = 1\n"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a package `house`, of which `house.top` imports `house.deep`."""
    folder = tmp_path / "house"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("house", None)


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("other", "b = 1", "b = 2", True),
        ("deep", "Of ", "About ", True),
        ("deep", "a = 1", "a = (1)  # one\n\n", True),
        ("deep", "a = 1", "a = 2", False),
        ("deep", "a = 1", "a = '1'", False),
        ("deep", "def f", "def h", False),
        ("deep", 'b = """c', 'b = """d', False),
    ],
)
def test_code_that_is_imported_changes_the_digest_and_docstrings_comments_and_layout_do_not(
    package: Path, file: str, old: str, new: str, same: bool
) -> None:
    before, path = source_digest("house.top"), package / f"{file}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert (source_digest("house.top") == before) == same


def test_a_trial_without_an_attack_does_not_depend_on_the_code_of_attacks(package: Path) -> None:
    before = source_digest("house.top", ["house.deep"])
    (package / "deep.py").write_text("a = 2\n")
    assert source_digest("house.top", ["house.deep"]) == before
    left_out = {path.stem for path in source_files("descent.studies.trials")} - {
        path.stem for path in source_files("descent.studies.trials", ["descent.studies.attacked"])
    }
    assert left_out == {"attacked", "bounds", "certificate", "sweep"}
