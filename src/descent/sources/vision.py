"""torchvision, importable with any build of torch."""

import sys

import torch

try:
    import torchvision
except RuntimeError as error:
    # The package index has torchvision built for CUDA only. With a CPU build of torch its operators do not
    # load, and the import fails at two of them (pytorch/vision#9337). Declaring them is enough for
    # data sets and images, but only after this error: if the real operators load later, a second declaration
    # aborts the process.
    if "torchvision::nms" not in str(error):
        raise
    for operator in ("nms", "qnms"):
        signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{operator}", signature)
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    import torchvision

__all__ = ["torchvision"]
