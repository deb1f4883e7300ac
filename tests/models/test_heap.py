"""Memory that is freed stays with the process, where the C library can be told so."""

import ctypes
import subprocess
import sys

import pytest

from descent.models.machine import keep_freed_memory
from tests.imports import ROOT

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


def faults(how: str) -> int:
    """Return how many pages ten steps had to ask the system for."""
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_a_step_asks_the_system_for_no_memory_that_it_had_before() -> None:
    assert faults("kept") < 100
    assert faults("given back") > 1000  # without it there would be nothing to show


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_freed_memory()
