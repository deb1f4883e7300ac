"""Where a stage computes is said in its environment, and never guessed."""

import pytest
import torch

from descent.io.errors import ParamsError
from stages.program import chosen_device


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (None, True, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        (None, False, "cpu"),
    ],
)
def test_a_gpu_is_taken_where_it_is_asked_for(
    asked: str | None, available: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESCENT_DEVICE", raising=False)
    if asked:
        monkeypatch.setenv("DESCENT_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert chosen_device().type == chosen


@pytest.mark.parametrize(
    ("asked", "said"), [("cuda", "torch can use no GPU here"), ("tpu", "expected cpu, cuda or auto")]
)
def test_what_cannot_be_had_is_refused(asked: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCENT_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamsError, match=f"^DESCENT_DEVICE={asked}: {said}"):
        chosen_device()
