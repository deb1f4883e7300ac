"""Metrics and tables keep six significant digits, and a missing metric is named with its file."""

from pathlib import Path

import pytest

from descent.io.errors import DataError
from descent.io.results import load_metrics, save_metrics, save_table


def test_metrics_come_back_with_six_significant_digits(tmp_path: Path) -> None:
    save_metrics(tmp_path / "m.json", {"third": 1 / 3, "count": 1234567, "none": None, "word": "w"})
    assert load_metrics(tmp_path / "m.json") == {"third": 0.333333, "count": 1234567, "none": None, "word": "w"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_refused_and_nothing_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        save_metrics(tmp_path / "m.json", {"loss": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("content", "message"), [("{", "not valid JSON"), ("[1]", "expected a JSON object")])
def test_metrics_that_are_none_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load_metrics(tmp_path / "m.json")
    with pytest.raises(DataError, match="no such file"):
        load_metrics(tmp_path / "n.json")


def test_a_table_has_a_header_and_a_line_for_each_row(tmp_path: Path) -> None:
    save_table(tmp_path / "t.csv", [{"epoch": 1, "loss": 0.123456789}, {"epoch": 2, "loss": 2.0}])
    assert (tmp_path / "t.csv").read_bytes() == b"epoch,loss\n1,0.123457\n2,2.0\n"


def test_a_metric_that_is_missing_is_named_with_its_file(tmp_path: Path) -> None:
    save_metrics(tmp_path / "m.json", {"loss": 1.0})
    with pytest.raises(DataError, match=r"m.json: has no accuracy; `dvc repro --force`"):
        load_metrics(tmp_path / "m.json")["accuracy"]


def test_a_table_without_rows_has_its_header(tmp_path: Path) -> None:
    save_table(tmp_path / "t.csv", [], ("epoch", "loss"))
    assert (tmp_path / "t.csv").read_bytes() == b"epoch,loss\n"
