"""params.yaml → data/checked.txt: so that nothing that its keys name is touched before all of it was checked."""

from pathlib import Path

from descent.io.files import save_text
from descent.io.params import load_params
from stages.terminal import stage


def main() -> None:
    """Read every parameter; what is written is the same for all that pass, so that nobody has to run again for it.

    DVC makes file names from the names of runs, and removes those files before it runs a stage.
    """
    params = load_params(Path("params.yaml"))
    save_text(Path("data/checked.txt"), f"Checked: {', '.join(params.model_dump())}\n")


if __name__ == "__main__":
    stage(main)
