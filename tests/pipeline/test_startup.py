"""What a fresh interpreter loads: no stage more than it uses, and torchvision with every build of torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT

SHIM_UNNEEDED = """
import sys, types, torch
defined = []
torch.library.define = lambda name, *rest: defined.append(name)
sys.modules["torchvision"] = types.ModuleType("torchvision")  # a torchvision that imports
import descent.sources.vision
assert descent.sources.vision.torchvision is sys.modules["torchvision"]
assert defined == [], defined
"""

OTHER_ERROR = """
import sys, torch
defined = []
torch.library.define = lambda name, *rest: defined.append(name)
class Broken:
    def find_spec(self, name, *_):
        if name == "torchvision":
            raise RuntimeError("something else")
sys.meta_path.insert(0, Broken())
try:
    import descent.sources.vision
except RuntimeError as error:
    assert str(error) == "something else"
    assert defined == [], defined
else:
    raise SystemExit("the error was swallowed")
"""

USED = """
from descent.sources.vision import torchvision
import torch
assert torchvision.transforms.ToTensor and torchvision.datasets.FashionMNIST
assert torchvision.utils.make_grid(torch.rand(4, 1, 28, 28)).shape == (3, 32, 122)
"""


def run(program: str) -> None:
    """Run a program in a Python of its own."""
    subprocess.run([sys.executable, "-c", f"import stages\n{program}"], cwd=ROOT, check=True, timeout=60)


def test_torchvision_works_here() -> None:
    run(USED)


@pytest.mark.slow
def test_no_operator_is_declared_where_torchvision_imports_by_itself() -> None:
    run(SHIM_UNNEEDED)


@pytest.mark.slow
def test_any_other_error_is_passed_on() -> None:
    run(OTHER_ERROR)


@pytest.mark.parametrize(
    ("stage", "absent"),
    [
        ("validate", {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "numpy"}),
        ("download", {"torch", "torchvision", "sklearn", "matplotlib", "pandas", "numpy"}),
        ("train", {"torchvision", "sklearn", "matplotlib", "pandas"}),
        pytest.param(
            "attack", {"torchvision", "sklearn", "matplotlib", "pandas", "torch._dynamo"}, marks=pytest.mark.slow
        ),
        pytest.param("theory", {"torchvision", "sklearn", "matplotlib", "pandas"}, marks=pytest.mark.slow),
        pytest.param("figures", {"torchvision", "sklearn", "torch._dynamo"}, marks=pytest.mark.slow),
        ("report", {"torch", "torchvision", "sklearn", "matplotlib"}),
    ],
)
def test_a_stage_starts_without_what_it_does_not_use(stage: str, absent: set[str]) -> None:
    program = f"import sys, stages.{stage}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not absent & set(loaded.stdout.split())


def test_stages_settle_what_would_change_a_result() -> None:
    if " avx2 " not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no AVX2, and its results are its own")
    told = {
        "OMP_DYNAMIC": "TRUE",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_CBWR": "AUTO",
    }
    asked = "*map(os.environ.get, ('OMP_DYNAMIC', 'ONEDNN_MAX_CPU_ISA', 'MKL_CBWR'))"
    program = f"import os, stages, torch; print(torch.backends.cpu.get_cpu_capability(), {asked})"
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=told,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "AVX2 FALSE AVX2 AVX2\n"
