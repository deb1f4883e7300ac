"""What a stage takes from the command line and says on the terminal."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tqdm import tqdm

from descent.errors import DescentError


def command(main: Callable[..., None]) -> None:
    """Run a stage with the words of the command line; what its user can mend ends it in words, not a traceback."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        main(*sys.argv[1:])
    except (DescentError, OSError) as error:
        sys.exit(f"ERROR: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. No file was left half-written; `dvc repro` begins this stage anew.")


@contextmanager
def transfer(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show, on a terminal only, how much of a file has come."""
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def show(received: int, total: int | None) -> None:
            bar.total = total
            bar.update(received - bar.n)

        yield show


@contextmanager
def epochs(name: str, total: int) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show, on a terminal only, the epochs done and the last losses."""
    with tqdm(desc=name, total=total, unit="epoch", disable=None, leave=False) as bar:

        def show(row: Mapping[str, float]) -> None:
            bar.set_postfix(train=f"{row['train_loss']:.4g}", test=f"{row['test_loss']:.4g}", refresh=False)
            bar.update()

        yield show
