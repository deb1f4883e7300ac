"""Processes are deterministic without slow imports, and freed memory stays with them under glibc."""

import ctypes
import subprocess
import sys

import pytest
import torch

from descent.models.machine import keep_freed_memory, make_deterministic
from tests.imports import ROOT

STARTED = """
import sys, stages, torch
from descent.models.machine import make_deterministic
make_deterministic(1)
assert torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1
loaded = {"torch._inductor", "torch._dynamo"} & sys.modules.keys()
assert not loaded, loaded
"""
# Take and free as a step does: several blocks of some megabytes, with nothing behind them on the heap.
FAULTS = """
import ctypes, resource, stages, sys
from descent.models.machine import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("not glibc")
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]
def step():
    held = [libc.malloc(3_000_000) for _ in range(10)]
    for block in held:
        libc.memset(block, 1, 3_000_000)
    for block in reversed(held):
        libc.free(block)
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
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


@pytest.mark.parametrize(("how", "least", "most"), [("kept", 0, 100), ("given back", 1000, 10**9)])
def test_a_step_asks_the_system_for_no_memory_that_it_had_before(how: str, least: int, most: int) -> None:
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert least <= int(done.stdout) <= most  # pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
