"""The pipeline's programs: each reads files, calls the library and writes files.

`python -m stages.NAME` imports this module first: it sets where the library is imported from, and what torch reads from
the environment.
"""

import os
import sys
from pathlib import Path

# Python takes kept bytecode for that of a source with the same size and second; DVC hashes the source.
sys.dont_write_bytecode, sys.pycache_prefix = True, None

from stages.program import ROOT, begin, watch  # noqa: E402 - after the line above

if "DVC_STAGE" in os.environ:
    watch()
# The library of this checkout, whatever is installed: DVC runs an experiment in a copy of the project.
sys.path.insert(0, str(ROOT / "src"))
if sys.argv[0] == "-m":  # so Python calls a program that it is still looking for
    begin()
# With OMP_DYNAMIC=TRUE oneDNN's convolutions return wrong weight gradients, without a word.
os.environ["OMP_DYNAMIC"] = "FALSE"
# Waiting threads that spin slow a busy machine down by an order of magnitude.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# torch, oneDNN and MKL would each take the widest vectors that the processor has, whose sums differ in their last
# digits; after an epoch of training that shows in the third. With the same width the bytes are the same.
CPUINFO = Path("/proc/cpuinfo")
if CPUINFO.exists() and " avx2 " in CPUINFO.read_text(encoding="utf-8"):
    os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
# Without a workspace of its own for each stream, cuBLAS does not give the same bits each time.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# No figure depends on what the user set for matplotlib and networkx, or on the fonts of the machine.
os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull, "MPL_IGNORE_SYSTEM_FONTS": "1"}
for name in [name for name in os.environ if name.startswith("NETWORKX_")]:
    del os.environ[name]
