"""Launch a whole step at once: work on a GPU, recorded as a CUDA graph and replayed."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

# Calls that run as they are before one is recorded: in them libraries choose their algorithms and take their memory.
EAGER = 3


def replayed(step: Callable[[Tensor, Tensor, Tensor], None]) -> Callable[[Tensor, Tensor, float], None]:
    """Return a training step that is recorded as a CUDA graph and replayed.

    Args:
        step: As for `Replayed`, given `x`, `y` and the learning rate: a tensor, which is read again at each replay.
    """
    launch = Replayed(step)
    return lambda x, y, rate: launch(x, y, torch.full((), rate, device=y.device))


class Replayed:
    """Call a step; from the fourth time on with tensors of the same shapes, replay what it did then.

    A step of a small network is dozens of kernels of some microseconds each, and to launch them one by one from
    Python takes longer than they do (CUDA C++ Programming Guide, "CUDA Graphs").
    """

    def __init__(self, step: Callable[..., None]) -> None:
        """Take a step that reads its arguments, tensors on the GPU, and changes tensors that stay where they are.

        It must launch the same kernels each time: no branch on a value, no random number, nothing that waits.
        """
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
        """Run the step in a stream of its own, as what is to be recorded must be run before."""
        main, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            self._step(*given)
        main.wait_stream(aside)

    def _record(self, given: tuple[Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, list[Tensor]]:
        """Record the step on tensors of its own; recording computes nothing."""
        held = [tensor.clone() for tensor in given]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(*held)
        return graph, held
