"""All of `studies.yaml`, as frozen and strictly checked types."""

from itertools import permutations
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from descent.io.errors import ParamsError
from descent.io.params import load_yaml
from descent.io.run_schema import Count, Positive, Section
from descent.io.schema import Distinct, Epsilons, RunName, RunNames

# More would take too long to check.
MOST_SETTINGS = 10_000


class Study(Section):
    """Runs of `params.yaml`, each with every combination of the values in `grid`, from every seed."""

    data: Literal["diabetes", "images"]  # of the runs; written down because DVC cannot look it up
    runs: RunNames
    seeds: Annotated[int, Field(gt=0, le=1000)]  # number of seeds, the first being `seed` of params.yaml
    grid: dict[str, Annotated[list[Any], Field(min_length=1), Distinct]]
    epsilons: Epsilons  # of the FGSM attack after training

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if self.epsilons and self.data == "diabetes":
            raise ValueError("epsilons must be []; the diabetes data has no images to attack")
        if (count := len(self.runs) * prod(map(len, self.grid.values()))) > MOST_SETTINGS:
            raise ValueError(f"grid: {count:,} settings; {MOST_SETTINGS:,} are the most")
        for outer, inner in permutations(self.grid, 2):
            if inner.startswith(f"{outer}."):
                raise ValueError(f"grid.{inner}: a part of {outer}; vary one of the two")
        return self

    @property
    def varied(self) -> list[str]:
        """The varied parameters by their dotted names; `run` comes first with several runs or without a grid."""
        return [*(["run"] if len(self.runs) > 1 or not self.grid else []), *self.grid]


class _Named(dict[str, Study]):
    def __missing__(self, name: str) -> Study:
        raise ParamsError(f"studies.yaml: there is no study {name!r}; there are {', '.join(self)}")


class AutoAttack(Section):
    """At which of the ε of PGD every attacked classifier is attacked with AutoAttack, on the images of PGD."""

    epsilons: Annotated[Epsilons, Field(min_length=1)]


class Verification(Section):
    """Which MLPs are verified, on the first so many test images, at which ε, and in how many seconds for an image."""

    runs: RunNames
    images: Count
    epsilons: Annotated[Epsilons, Field(min_length=1)]
    seconds: Positive


class Studies(Section):
    """The whole of `studies.yaml`."""

    studies: Annotated[dict[RunName, Study], Field(min_length=1), AfterValidator(_Named)]
    autoattack: AutoAttack
    verification: Verification


def load_studies(path: Path) -> Studies:
    """Read and check the studies, as `load_yaml` does; `check_studies` compares them with params.yaml."""
    return load_yaml(path, Studies)
