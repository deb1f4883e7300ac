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


FILES = {
    "__init__": "",
    "top": "import json\ndef f():\n    import house.deep\n",
    "deep": "a = 1\ndef g():\n    return a\n",
    "other": "b = 1\n",
}


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


def test_only_a_change_in_what_is_imported_changes_the_digest(package: Path) -> None:
    before = source_digest("house.top")
    (package / "other.py").write_text("b = 2\n")
    assert source_digest("house.top") == before
    (package / "deep.py").write_text(FILES["deep"].replace("1", "2"))
    assert source_digest("house.top") != before


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a = 1  # one\n\n\ndef g():\n    # of a\n    return (a)\n", True),
        ("a = 1\ndef g(): return a\n", True),
        ("a = 1\ndef g():\n    return a + 0\n", False),
        ("a = 1\ndef h():\n    return a\n", False),
        ("a = '1'\ndef g():\n    return a\n", False),
    ],
)
def test_comments_and_layout_leave_the_digest_and_code_changes_it(package: Path, text: str, same: bool) -> None:
    before = source_digest("house.top")
    (package / "deep.py").write_text(text)
    assert (source_digest("house.top") == before) == same


def test_the_words_of_a_docstring_leave_the_digest_and_those_of_a_string_change_it(package: Path) -> None:
    digests = list[str]()
    for docstring, string in (("one", "one"), ("two", "one"), ("one", "two")):
        (package / "deep.py").write_text(
            f'"""{docstring}"""\nclass C:\n    """{docstring}"""\n    a = """{string}"""\n'
            f'    def f(self):\n        """{docstring}"""\n    async def g(self):\n        """{docstring}"""\n'
        )
        digests.append(source_digest("house.top"))
    assert digests[0] == digests[1] != digests[2]
