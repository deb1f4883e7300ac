"""The tables say what the metrics say."""

from typing import Any

import pytest

from descent.report.tables import markdown_tables
from descent.sources.published import warning
from tools.results import BEGIN, END, replaced

REGRESSION: dict[str, Any] = {"least_squares_loss": 2823.49, "learning_rate_over_threshold": 0.651762}
REGRESSION |= {"final_train_loss": 2990.32, "final_excess_over_least_squares": 0.059085, "test_r2": 0.461782}
REGRESSION |= {"hovering_excess_over_least_squares": 0.217, "share_of_epochs_with_rising_train_loss": 0.591837}
BENT = {"weights": 385, "final_train_loss": 2512.3, "final_test_loss": 3100.9, "test_r2": 0.412}
CLASSIFIER: dict[str, Any] = {"weights": 79510, "final_train_loss": 0.0536, "final_test_loss": 0.6499}
CLASSIFIER |= {"best_test_loss": 0.3291, "best_epoch": 21, "best_test_accuracy": 0.892}
CLASSIFIER |= {"final_test_accuracy": 0.8824, "overfitting_epoch": 15}
ATTACK: dict[str, Any] = {"accuracy_at_0": 0.8824, "accuracy_at_0.05": 0.2155, "pgd_accuracy_at_0.1": 0.002}
ATTACK |= {"median_flipping_epsilon": 0.022, "bag_index": 6366, "bag_epsilon": 0.166}
ATTACK |= {"bag_clean_confidence": 0.992, "bag_t_shirt_confidence": 0.3665}
DIVERGED = {"diverged": True, "diverged_epoch": 7}


def tables(trained: dict[str, Any], attacked: dict[str, Any]) -> list[list[list[str]]]:
    """Return the cells of each table, headers aside."""
    text = markdown_tables({"source": "fashion-mnist"}, trained, attacked)
    rows = (table.splitlines()[2:] for table in text.split("\n\n"))
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in table] for table in rows]


def test_each_kind_of_run_has_its_table_and_the_stand_in_a_warning() -> None:
    runs = {"slow": REGRESSION, "bent": BENT, "mlp": CLASSIFIER, "calm": CLASSIFIER | {"overfitting_epoch": None}}
    robust = ATTACK | {"bag_index": None, "median_flipping_epsilon": None}
    losses, accuracies = (
        ["79,510", "0.054", "0.650", "0.329 at 21", "88.24%"],
        ["88.2%", "–", "21.6%", "–", "0.2%", "–"],
    )
    assert tables(runs, {"mlp": ATTACK, "calm": robust}) == [
        [["slow", "0.652", "2990", "5.9%", "21.7%", "59%", "0.462"]],
        [["bent", "385", "2512", "3101", "0.412"]],
        [["mlp", *losses, "15"], ["calm", *losses, "–"]],
        [["mlp", *accuracies, "0.022", "0.992 → 0.366 (ε = 0.166)"], ["calm", *accuracies, "–", "none"]],
    ]
    assert len(tables({"slow": REGRESSION}, {})) == 3  # none of regressions that are not linear
    assert markdown_tables({"source": "drawn"}, {}, {}).startswith(f"**{warning('drawn')}**")
    assert "not Fashion-MNIST" not in markdown_tables({"source": "fashion-mnist"}, {}, {})


def test_a_run_that_diverged_is_called_so_in_every_table() -> None:
    trained = {"fast": REGRESSION | DIVERGED, "mlp": CLASSIFIER | DIVERGED, "calm": CLASSIFIER | {"diverged": False}}
    names = [row[0] for table in tables(trained, {"mlp": ATTACK | DIVERGED}) for row in table]
    assert names == [f"{run} (diverged in epoch 7)" for run in ("fast", "mlp")] + ["calm", "mlp (diverged in epoch 7)"]


def test_the_readme_is_changed_between_its_marks_only() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert replaced(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter"
    with pytest.raises(ValueError, match="lacks the marks"):
        replaced("no marks", "new")
