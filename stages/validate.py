"""params.yaml, studies.yaml → data/validated.txt: all is checked before DVC touches a file that a key names."""

from descent.io.files import save_text
from descent.io.layout import PARAMS, STUDIES, VALIDATED
from descent.io.params import load_params
from descent.studies.grid import load_studies
from stages.program import stage


def main() -> None:
    """Read every parameter; what is written is the same for all that pass, so that nothing runs again because of it.

    DVC puts the names of runs and studies into commands and paths, and removes outputs before it runs a stage.
    """
    load_params(PARAMS)
    load_studies(STUDIES)
    save_text(VALIDATED, f"{PARAMS} and {STUDIES} are valid.\n")


if __name__ == "__main__":
    stage(main)
