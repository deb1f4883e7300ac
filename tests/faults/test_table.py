"""The table of faults is the one that these tests lead to."""

from tests.faults.table import TABLE


def test_the_table_has_at_least_sixty_faults() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len({row for row in rows if not row.startswith(("| tried ", "| --- "))}) >= 60
