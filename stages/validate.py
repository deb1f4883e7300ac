"""params.yaml, studies.yaml → data/validated.txt."""

from descent.io.files import save_text
from descent.io.layout import PARAMS, STUDIES, VALIDATED
from descent.io.params import load_params
from descent.io.study_schema import load_studies
from descent.studies.grid import check_studies
from stages.program import stage


def main() -> None:
    """Validate every parameter before a run's name becomes part of a command or path.

    DVC removes the outputs of a stage before it runs the stage. The output here is always the same, so that no other
    stage is outdated by it.
    """
    check_studies(load_studies(STUDIES), load_params(PARAMS))
    save_text(VALIDATED, f"{PARAMS} and {STUDIES} are valid.\n")


if __name__ == "__main__":
    stage(main)
