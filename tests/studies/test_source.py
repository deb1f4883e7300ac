"""The code that a result depends on is found, all of it and no other."""

import sys
from pathlib import Path

import pytest

from descent.studies.source import source_digest, source_files
from tests.imports import ROOT, closure


@pytest.mark.parametrize("module", ["descent.studies.trials", "descent.report.page", "descent.io.errors"])
def test_the_files_are_those_that_the_pipeline_lists(module: str) -> None:
    assert [path.relative_to(ROOT).as_posix() for path in source_files(module)] == sorted(closure(module))


def test_a_change_in_what_is_imported_changes_the_digest_and_no_other_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "__init__": "",
        "top": "import json\ndef f():\n    import house.deep\n",
        "deep": "a = 1\n",
        "other": "b = 1\n",
    }
    (tmp_path / "house").mkdir()
    for name, text in files.items():
        (tmp_path / "house" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = source_digest("house.top")
    (tmp_path / "house" / "other.py").write_text("b = 2\n")
    assert source_digest("house.top") == before
    (tmp_path / "house" / "deep.py").write_text("a = 2\n")
    assert source_digest("house.top") != before
    sys.modules.pop("house", None)
