"""The pipeline's programs: each reads files, calls the library and writes files.

`python -m stages.NAME` imports this module first, and so before torch, whose OpenMP reads these once.
"""

import os

# With OMP_DYNAMIC=TRUE oneDNN's convolutions return wrong weight gradients, without a word.
os.environ["OMP_DYNAMIC"] = "FALSE"
# Waiting threads that spin slow a busy machine down by an order of magnitude.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
