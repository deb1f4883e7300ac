"""The tables of AutoAttack and of the verification count what the studies found, and name what contradicts itself."""

import pandas as pd
import pytest

from descent.report.bounds_tables import BoundTables, autoattack_table, failed_checks, verification_table
from descent.report.study_page import studies_page

ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")


def tables(*after: float, pgd: float = 0.6, certified: float = 0.5) -> BoundTables:
    """Return the tables of a classifier, with these accuracies after each attack at ε = 0.1."""
    attacks = pd.DataFrame({"epsilon": 0.1, "attack": ATTACKS, "accuracy": after})
    return BoundTables(
        certified={
            "mlp": pd.DataFrame({"epsilon": [0.0, 0.1], "accuracy": [0.8, certified], "attacked_accuracy": [0.9, 0.6]})
        },
        pgd={"mlp": pd.DataFrame({"epsilon": [0.1], "accuracy": [pgd], "high": [pgd + 0.03], "fgsm_accuracy": [0.7]})},
        autoattack={"mlp": attacks.assign(low=attacks["accuracy"] - 0.03)},
        verification={},
    )


def test_a_row_has_every_accuracy_from_the_weakest_attack_to_the_certificate() -> None:
    table = autoattack_table(tables(0.59, 0.58, 0.57, 0.57))
    assert table.header == ("classifier", "ε", "no attack", "FGSM", "PGD", *ATTACKS, "certified")
    shares = ("90.0%", "70.0%", "60.0%", "59.0%", "58.0%", "57.0%", "57.0%", "50.0%")
    assert table.rows == [("mlp", "0.1", *shares)]


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (tables(0.59, 0.58, 0.57, 0.57), []),
        (tables(0.59, 0.58, 0.57, 0.568), []),  # two in a thousand
        (tables(0.59, 0.58, 0.57, 0.567), ["square_not_stronger_than_gradients"]),
        (tables(0.68, 0.66, 0.66, 0.66), []),  # the intervals overlap
        (tables(0.68, 0.67, 0.67, 0.67), ["autoattack_not_weaker_than_pgd"]),
        (tables(0.91, 0.6, 0.6, 0.6), ["autoattack_not_above_clean"]),
        (tables(0.59, 0.58, 0.585, 0.585), ["autoattack_not_above_clean"]),
        (tables(0.5, 0.5, 0.5, 0.5), []),
        (tables(0.5, 0.5, 0.5, 0.499), ["certified_not_above_autoattack"]),
    ],
)
def test_bounds_in_the_wrong_order_are_named(found: BoundTables, names: list[str]) -> None:
    assert failed_checks(found) == [("mlp", 0.1, name) for name in names]
    page = studies_page([], found, {})
    assert ("Every check passes" in page) == (not names)
    assert all(f"mlp, ε = 0.1:</span> the check {name} fails" in page for name in names)


def test_verdicts_are_counted_for_each_epsilon() -> None:
    says = [
        "misclassified",
        "attacked",
        "attacked",
        "certified",
        "certified",
        "certified",
        "proven",
        "proven",
        "flipped",
    ]
    rows = pd.DataFrame({"epsilon": [0.01] * 9 + [0.02] * 9, "says": [*says, *says[:8], "undecided"]})
    table = verification_table(tables(0, 0, 0, 0)._replace(verification={"mlp": rows}))
    assert table.header[2:6] == ("recognised", "robust under PGD", "exactly robust", "certified by CROWN")
    assert table.rows == [
        ("mlp", "0.01", "8", "6", "5", "3", "2", "1", "0"),
        ("mlp", "0.02", "8", "6", "5 to 6", "3", "2", "0", "1"),
    ]
