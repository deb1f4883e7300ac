"""Launch a whole step at once: work on a GPU, recorded as a CUDA graph and replayed."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

# Calls before one is recorded, in which libraries choose their algorithms and take their memory.
EAGER = 3


def replayed(step: Callable[[Tensor, Tensor, Tensor], None]) -> Callable[[Tensor, Tensor, float], None]:
    """Return a training step that is replayed; it is given the learning rate as a tensor, read anew at each replay."""
    launch = Replayed(step)
    return lambda x, y, rate: launch(x, y, torch.full((), rate, device=y.device))


class Replayed:
    """Call a step; from the fourth time on with tensors of the same shapes, replay what it did then.

    A step of a small network is dozens of kernels of some microseconds each, and to launch them one by one from
    Python takes longer than they do (CUDA C++ Programming Guide, "CUDA Graphs"). The step reads tensors on the GPU and
    changes tensors in place. It must launch the same kernels each time: no branch on a value, no random number.
    """

    def __init__(self, step: Callable[..., None]) -> None:
        """Take a step."""
        self._step = step
        self._calls = Counter[tuple[torch.Size, ...]]()
        self._recorded: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}

    def __call__(self, *given: Tensor) -> None:
        """Take one step."""
        shapes = tuple(tensor.shape for tensor in given)
        self._calls[shapes] += 1
        if self._calls[shapes] <= EAGER:
            self._aside(given)
            return
        if shapes not in self._recorded:
            self._recorded[shapes] = self._record(given)
        graph, held = self._recorded[shapes]
        for place, tensor in zip(held, given, strict=True):
            place.copy_(tensor)
        graph.replay()

    def _aside(self, given: tuple[Tensor, ...]) -> None:
        """Run the step in a stream of its own, as PyTorch requires before a recording."""
        main, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            self._step(*given)
        main.wait_stream(aside)

    def _record(self, given: tuple[Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, list[Tensor]]:
        """Record the step on copies of its tensors; recording computes nothing."""
        held = [tensor.clone() for tensor in given]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(*held)
        return graph, held
