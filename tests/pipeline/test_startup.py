"""What a fresh interpreter loads and sets."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.imports import ROOT

slow = partial(pytest.param, marks=pytest.mark.slow)


def printed(program: str, environment: dict[str, str] | None = None) -> str:
    """Return what a program prints in a Python of its own."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("stage", "absent"),
    [
        ("validate", {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "numpy"}),
        ("download", {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "numpy"}),
        ("train", {"torchvision", "sklearn", "matplotlib", "pandas"}),
        slow("attack", {"torchvision", "sklearn", "matplotlib", "pandas", "torch._dynamo"}),
        slow("theory", {"torchvision", "sklearn", "matplotlib", "pandas"}),
        slow("figures", {"torchvision", "sklearn", "torch._dynamo"}),
        slow("lab", {"torchvision", "sklearn", "matplotlib", "pandas", "torch._dynamo"}),
        ("report", {"torch", "torchvision", "sklearn", "matplotlib"}),
    ],
)
def test_a_stage_starts_without_what_it_does_not_use(stage: str, absent: set[str]) -> None:
    assert not absent & set(printed(f"import sys, stages.{stage}; print(*sys.modules)").split())


def test_stages_settle_what_would_change_a_result() -> None:
    if " avx2 " not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no AVX2, and its results are its own")
    names = {"OMP_DYNAMIC": "TRUE", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AUTO"}
    program = "import os, stages, torch; print(torch.backends.cpu.get_cpu_capability(), *map(os.environ.get, {}))"
    assert printed(program.format([*names]), names | {"ATEN_CPU_CAPABILITY": "default"}) == "AVX2 FALSE AVX2 AVX2\n"
