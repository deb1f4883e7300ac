"""A step that is replayed is taken as often as it is called, each time on what it is given.

No GPU is needed: CUDA's part is played, to its rules, by a stand-in that records calls instead of kernels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from descent.training.cuda_graph import EAGER, Replayed, replayed


class Stage:
    """Plays graphs: what is launched while a graph is recorded is kept, not run."""

    def __init__(self) -> None:
        self.recording: Graph | None = None
        self.recordings, self.taken = 0, list[Tensor]()

    def step(self, x: Tensor, rate: Tensor) -> None:
        """Take down the product of what is given: now, or at each replay."""
        if self.recording is None:
            self.taken.append(x * rate)
        else:
            self.recording.launches.append(lambda: self.step(x, rate))

    @contextmanager
    def graph(self, graph: "Graph") -> Iterator[None]:
        self.recordings, self.recording = self.recordings + 1, graph
        yield
        self.recording = None


class Graph:
    """Plays `torch.cuda.CUDAGraph`, and passes for one; to be one it would need CUDA, or a torch without."""

    __class__ = torch.cuda.CUDAGraph  # type: ignore[assignment]

    def __init__(self) -> None:
        self.launches: list[Callable[[], None]] = []

    def replay(self) -> None:
        """Run what was recorded, on the tensors that were there then."""
        for launch in self.launches:
            launch()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    played = Stage()
    for name, part in (("CUDAGraph", Graph), ("graph", played.graph), ("stream", lambda _: nullcontext())):
        monkeypatch.setattr(torch.cuda, name, part)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda: SimpleNamespace(wait_stream=lambda other: None))
    return played


def test_no_step_is_lost_or_taken_twice_whatever_the_shapes(stage: Stage) -> None:
    step = Replayed(stage.step)
    given = [(torch.rand(4 if turn % 3 else 2), torch.rand(())) for turn in range(20)]
    for x, rate in given:
        step(x, rate)
    assert stage.recordings == 2
    assert len(stage.taken) == len(given)
    assert all(torch.equal(taken, x * rate) for taken, (x, rate) in zip(stage.taken, given, strict=True))


def test_a_replayed_training_step_reads_the_learning_rate_anew(stage: Stage) -> None:
    take = replayed(lambda x, y, rate: stage.step(x + y, rate))
    for rate in range(EAGER + 3):
        take(torch.ones(2), torch.zeros(2), float(rate))
        assert stage.recordings == (rate >= EAGER)  # the first steps run as they are
    assert [taken.tolist() for taken in stage.taken] == [[rate, rate] for rate in range(EAGER + 3)]
