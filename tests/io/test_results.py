"""Metrics and tables keep six significant digits, and a missing metric is named with its file."""

from pathlib import Path

import pytest

from descent.io.errors import DataError
from descent.io.results import load_metrics, save_metrics, save_table


def test_metrics_come_back_with_six_significant_digits(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    save_metrics(path, {"third": 1 / 3, "count": 1234567, "none": None, "word": "w"})
    assert load_metrics(path) == {"third": 0.333333, "count": 1234567, "none": None, "word": "w"}
    with pytest.raises(DataError, match=r"m.json: has no accuracy; `dvc repro --force`"):
        load_metrics(path)["accuracy"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_refused_and_nothing_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        save_metrics(tmp_path / "m.json", {"loss": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), ("{", "no JSON object"), ("[1]", "no JSON object")]
)
def test_a_file_without_metrics_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "m.json").write_text(content)
    with pytest.raises(DataError, match=f"m.json: {message}"):
        load_metrics(tmp_path / "m.json")


def test_a_table_has_a_header_and_a_line_for_each_row(tmp_path: Path) -> None:
    save_table(tmp_path / "t.csv", [{"epoch": 1, "loss": 0.123456789}, {"epoch": 2, "loss": 2.0}])
    assert (tmp_path / "t.csv").read_bytes() == b"epoch,loss\n1,0.123457\n2,2.0\n"
    save_table(tmp_path / "t.csv", [], ("epoch", "loss"))
    assert (tmp_path / "t.csv").read_bytes() == b"epoch,loss\n"
