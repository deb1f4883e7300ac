"""What `make_deterministic` promises holds, and costs no second of imports."""

import subprocess
import sys

import pytest
import torch

from descent.models.machine import make_deterministic
from tests.imports import ROOT

STARTED = """
import sys, stages, torch
from descent.models.machine import make_deterministic
make_deterministic(1)
assert torch.are_deterministic_algorithms_enabled()
assert torch.get_num_threads() == 1
loaded = {"torch._inductor", "torch._dynamo"} & sys.modules.keys()
assert not loaded, loaded
"""


def test_a_process_is_made_deterministic_without_loading_a_compiler() -> None:
    subprocess.run([sys.executable, "-c", STARTED], cwd=ROOT, check=True, timeout=60)


def test_on_a_gpu_what_has_no_other_way_is_a_warning() -> None:
    try:
        make_deterministic(1, torch.device("cuda"))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.allow_tf32
    finally:
        make_deterministic(1)
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_here_an_operation_that_depends_on_timing_is_refused() -> None:
    # One of the few on a CPU: it adds up in whatever order its threads come.
    with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
        torch.nn.functional.max_unpool2d(torch.rand(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.int64), [2])
