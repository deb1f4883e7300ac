"""The same results elsewhere."""

from tests.faults.conftest import Elsewhere, Tell
from tests.workspace import Workspace, locks

CONDITIONS = (
    "one after the other instead of side by side",
    "another folder, its name with spaces, quotes, a dollar sign and Chinese",
    "another user without a home that can be written",
    "another language and time zone",
    "another PYTHONHASHSEED",
    "OMP_DYNAMIC=TRUE, with which oneDNN's gradients are wrong, and two threads asked for by OMP and MKL",
)


def test_every_byte_of_every_output_is_the_same_elsewhere(
    miniature: Workspace, elsewhere: Elsewhere, tell: Tell
) -> None:
    expected, made = miniature.outputs(), elsewhere.workspace.outputs()
    differing = sorted(name for name in expected.keys() | made.keys() if expected.get(name) != made.get(name))
    for condition in CONDITIONS:
        tell(condition, "every byte of every output is the same", f"{len(made)} files, {len(differing)} of them differ")
    assert not differing
    assert len(made) > 100
    # The lock too, in which DVC keeps the hash of every dependency and output.
    assert locks(elsewhere.workspace) == locks(miniature)
