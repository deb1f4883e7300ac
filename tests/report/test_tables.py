"""The tables say what the metrics say."""

import pytest

from descent.report.tables import markdown_tables
from descent.sources.published import warning
from tools.results import BEGIN, END, replaced

REGRESSION = {
    "least_squares_loss": 2823.49,
    "learning_rate_over_threshold": 0.651762,
    "final_train_loss": 2990.32,
    "final_excess_over_least_squares": 0.059085,
    "hovering_excess_over_least_squares": 0.217,
    "share_of_epochs_with_rising_train_loss": 0.591837,
    "test_r2": 0.461782,
}
CLASSIFIER = {
    "weights": 79510,
    "final_train_loss": 0.0536,
    "final_test_loss": 0.6499,
    "best_test_loss": 0.3291,
    "best_epoch": 21,
    "best_test_accuracy": 0.892,
    "final_test_accuracy": 0.8824,
    "overfitting_epoch": 15,
}
ATTACK = {
    "accuracy_at_0": 0.8824,
    "accuracy_at_0.05": 0.2155,
    "pgd_accuracy_at_0.1": 0.002,
    "median_flipping_epsilon": 0.022,
    "bag_index": 6366,
    "bag_clean_confidence": 0.992,
    "bag_t_shirt_confidence": 0.3665,
    "bag_epsilon": 0.166,
}


def cells(line: str) -> list[str]:
    """Split a row of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_kind_of_run_has_its_table() -> None:
    text = markdown_tables({"source": "fashion-mnist"}, {"slow": REGRESSION, "mlp": CLASSIFIER}, {"mlp": ATTACK})
    rows = [cells(line) for line in text.splitlines() if line.startswith(("| slow", "| mlp"))]
    assert rows == [
        ["slow", "0.652", "2990", "5.9%", "21.7%", "59%", "0.462"],
        ["mlp", "79,510", "0.054", "0.650", "0.329 at 21", "88.24%", "15"],
        ["mlp", "88.2%", "–", "21.6%", "–", "0.2%", "0.022", "0.992 → 0.366 (ε = 0.166)"],
    ]
    assert "not Fashion-MNIST" not in text


def test_a_regression_that_is_not_linear_stands_in_a_table_of_its_own() -> None:
    other = {"weights": 385, "final_train_loss": 2512.3, "final_test_loss": 3100.9, "test_r2": 0.412}
    text = markdown_tables({"source": "fashion-mnist"}, {"slow": REGRESSION, "bent": other}, {})
    linear, others, *_ = text.split("\n\n")
    assert "slow" in linear
    assert "bent" not in linear
    assert [cells(line) for line in others.splitlines()][2:] == [["bent", "385", "2512", "3101", "0.412"]]
    assert "not linear" not in markdown_tables({"source": "fashion-mnist"}, {"slow": REGRESSION}, {})


def test_what_was_not_found_is_a_dash_or_none() -> None:
    text = markdown_tables(
        {"source": "fashion-mnist"},
        {"mlp": CLASSIFIER | {"overfitting_epoch": None}},
        {"mlp": ATTACK | {"bag_index": None, "median_flipping_epsilon": None}},
    )
    rows = [cells(line) for line in text.splitlines() if line.startswith("| mlp")]
    assert [row[-1] for row in rows] == ["–", "none"]
    assert rows[1][-2] == "–"


def test_a_run_that_diverged_is_called_so_in_every_table() -> None:
    diverged = {"diverged": True, "diverged_epoch": 7}
    trained = {"fast": REGRESSION | diverged, "mlp": CLASSIFIER | diverged, "calm": CLASSIFIER | {"diverged": False}}
    text = markdown_tables({"source": "fashion-mnist"}, trained, {"mlp": ATTACK | diverged})
    names = [cells(line)[0] for line in text.splitlines() if line.startswith(("| fast", "| mlp", "| calm"))]
    assert names == [f"{run} (diverged in epoch 7)" for run in ("fast", "mlp")] + ["calm", "mlp (diverged in epoch 7)"]


def test_results_of_the_stand_in_begin_with_a_warning() -> None:
    assert markdown_tables({"source": "drawn"}, {}, {}).startswith(f"**{warning('drawn')}**")


def test_the_readme_is_changed_between_its_marks_only() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert replaced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter"
    with pytest.raises(ValueError, match="lacks the marks"):
        replaced("no marks", "new")
