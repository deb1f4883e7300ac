"""The studies of single classifiers: AutoAttack beside the other bounds of robust accuracy, and exact verification."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from descent.report.tables import Table

# Square alone flips more than this share of the images: the gradients mislead the other attacks (Croce & Hein 2020).
MASKED = 0.002


class BoundTables(NamedTuple):
    """The tables of the studies of single classifiers, and those beside which they are put; each by run."""

    certified: Mapping[str, pd.DataFrame]  # plots/certified
    pgd: Mapping[str, pd.DataFrame]  # plots/pgd
    autoattack: Mapping[str, pd.DataFrame]  # studies/autoattack
    verification: Mapping[str, pd.DataFrame]  # studies/verification


class Levels(NamedTuple):
    """The accuracies on the same images, from the highest to the lowest if all is well."""

    clean: float
    fgsm: float
    pgd: Mapping[str, float]  # with its interval
    autoattack: Mapping[str, float]  # after each attack in turn
    low: float  # of the interval of the last of them
    certified: float


def levels(tables: BoundTables) -> Iterator[tuple[str, float, Levels]]:
    """Yield the accuracies of each classifier at each ε of AutoAttack."""
    for run, attacks in tables.autoattack.items():
        bounds, pgd = (of[run].set_index("epsilon") for of in (tables.certified, tables.pgd))
        for epsilon, rows in attacks.groupby("epsilon"):
            after = dict(zip(rows["attack"], rows["accuracy"], strict=True))
            row, low = pgd.loc[epsilon], rows["low"].iloc[-1]
            clean, certified = bounds["attacked_accuracy"].iloc[0], bounds["accuracy"][epsilon]
            yield run, float(epsilon), Levels(clean, row["fgsm_accuracy"], dict(row), after, low, certified)  # type: ignore[arg-type]


def autoattack_table(tables: BoundTables) -> Table:
    """Lay out the accuracies of each classifier at each ε of AutoAttack, a row each."""
    rows, attacks = [], dict[str, None]()
    for run, epsilon, found in levels(tables):
        attacks |= dict.fromkeys(found.autoattack)
        shares = (found.clean, found.fgsm, found.pgd["accuracy"], *found.autoattack.values(), found.certified)
        rows.append((run, f"{epsilon:g}", *(f"{share:.1%}" for share in shares)))
    return Table(("classifier", "ε", "no attack", "FGSM", "PGD", *attacks, "certified"), rows)


def failed_checks(tables: BoundTables) -> list[tuple[str, float, str]]:
    """Return classifier, ε and name of each sanity check that fails.

    - `certified_not_above_autoattack`: more images are certified than AutoAttack leaves: one of the two is wrong.
    - `autoattack_not_weaker_than_pgd`: the accuracy under AutoAttack is above that under PGD, and the intervals of both
      do not overlap.
    - `autoattack_not_above_clean`: AutoAttack raises the accuracy, or one of its attacks what those before it leave.
    - `square_not_stronger_than_gradients`: Square, which uses no gradient, flips more than 0.2 % of the images that the
      other attacks of AutoAttack leave; a flag of AutoAttack's own.
    """
    failed = []
    for run, epsilon, found in levels(tables):
        *_, before, last = left = list(found.autoattack.values())
        passed = {
            "certified_not_above_autoattack": found.certified <= last,
            "autoattack_not_weaker_than_pgd": found.low <= found.pgd["high"],
            "autoattack_not_above_clean": [found.clean, *left] == sorted([found.clean, *left], reverse=True),
            "square_not_stronger_than_gradients": before - last <= MASKED + 1e-9,
        }
        failed += [(run, epsilon, name) for name, good in passed.items() if not good]
    return failed


def verification_table(tables: BoundTables) -> Table:
    """Lay out how many images each step of the verification decides, a row for each classifier and ε."""
    rows = []
    for run, verdicts in tables.verification.items():
        for epsilon, of_epsilon in verdicts.groupby("epsilon"):
            count = Counter(of_epsilon["says"])
            robust, recognised = count["certified"] + count["proven"], len(of_epsilon) - count["misclassified"]
            exact = f"{robust} to {robust + count['undecided']}" if count["undecided"] else robust
            bounds = recognised, recognised - count["attacked"], exact, count["certified"]
            counts = *bounds, count["proven"], count["flipped"], count["undecided"]
            rows.append((run, f"{epsilon:g}", *map(str, counts)))
    header = ("classifier", "ε", "recognised", "robust under PGD", "exactly robust", "certified by CROWN")
    return Table((*header, "proven by a program", "flipped by a program", "undecided"), rows)
