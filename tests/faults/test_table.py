"""The table of faults is the one that these tests lead to."""

from tests.faults.conftest import TABLE


def test_every_fault_that_was_run_stands_in_the_table_as_it_went(rows: list[tuple[str, str]]) -> None:
    written = TABLE.read_text(encoding="utf-8").splitlines()
    assert not [row for _, row in rows if row not in written], "`make faults` writes docs/faults.md anew"


def test_the_table_has_at_least_sixty_faults() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len({row for row in rows if not row.startswith(("| tried ", "| --- "))}) >= 60
