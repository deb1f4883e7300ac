"""An adversarial test set, of this project or another → whether it satisfies the rules."""

from pathlib import Path

from descent.io.datasets import load_dataset
from descent.io.errors import DescentError
from descent.io.layout import dataset
from descent.robustness.adversarial_set import broken_rules
from stages.program import command


def main(file: str) -> None:
    """Compare a file with the test images of the folder `data`."""
    if broken := broken_rules(Path(file), load_dataset(dataset("images")).test):
        raise DescentError("\n".join(f"{file}: {line}" for line in broken))
    print(f"{file}: keeps to every rule")


if __name__ == "__main__":
    command(main)
