"""Models have the sizes that their entries say, and their weights survive a file."""

from pathlib import Path

import pytest
import torch
from torch import nn

from descent.io.errors import DataError
from descent.io.run_schema import MLP, Linear
from descent.io.schema import Params
from descent.io.tensors import save_tensors
from descent.models.networks import build_model, count_weights, linear, load_model
from tests.models.known import convnet, strided

IMAGE, MLP_SPEC = (1, 28, 28), MLP(kind="mlp", hidden=[100])


@pytest.mark.parametrize(
    ("run", "inputs", "outputs", "weights"),
    [
        ("regression-lr-1e-4", (10,), 1, 10 + 1),
        ("mlp", IMAGE, 10, (784 + 1) * 100 + (100 + 1) * 10),
        # Filters, two numbers of each for the normalisation, and the linear layer.
        (
            "convnet",
            IMAGE,
            10,
            24 * 18 + 40 * (24 * 9 + 2) + 56 * (40 * 9 + 2) + 80 * (56 * 9 + 2) + (80 * 16 + 1) * 10,
        ),
    ],
)
def test_models_have_their_sizes(params: Params, run: str, inputs: tuple[int, ...], outputs: int, weights: int) -> None:
    model = build_model(params.train[run].model, inputs, outputs, seed=0)
    assert count_weights(model) == weights <= 100_000
    assert model(torch.rand(3, *inputs)).shape == (3, outputs)


def test_the_seed_decides_the_weights_and_the_global_state_stays() -> None:
    before = torch.get_rng_state()
    one, same, other = (build_model(MLP_SPEC, IMAGE, 10, seed).state_dict() for seed in (1, 1, 2))
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one["1.weight"], other["1.weight"])
    assert torch.equal(before, torch.get_rng_state())
    assert linear(10, 1)(torch.rand(4, 10)).tolist() == [[0.0]] * 4  # a linear model starts at 0


def test_relu_after_pooling_equals_relu_before_it(rng: torch.Generator) -> None:
    model = build_model(convnet(4, 6, hidden=8), IMAGE, 10, seed=0)
    before = nn.Sequential(*(model[i] for i in (0, 2, 1, 3, 5, 4)), *model[6:].children())
    assert [type(before[i]) for i in range(3)] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    x = torch.randn(5, *IMAGE, generator=rng)
    torch.testing.assert_close(model(x), before(x))


@pytest.mark.parametrize("inputs", [(10,), (1, 8, 8)])
def test_a_convnet_refuses_what_it_cannot_convolve(inputs: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="model\\.convolutions\\.[01]: images of .* are too small for it"):
        build_model(convnet(4, 4), inputs, 10, seed=0)


def test_weights_come_back_from_a_file_and_those_of_another_model_are_refused(tmp_path: Path) -> None:
    spec = strided(batch_norm=True)
    model, x = build_model(spec, IMAGE, 10, seed=3).eval(), torch.rand(2, *IMAGE)
    save_tensors(tmp_path / "m", model.state_dict())
    loaded = load_model(tmp_path / "m", spec, IMAGE, 10)
    assert torch.equal(loaded(x), model(x))
    assert not loaded.training
    save_tensors(tmp_path / "m", build_model(Linear(kind="linear"), IMAGE, 10, seed=0).state_dict())
    said = "holds the weights of another model: expected .*1.weight float32 100×784, .* found 1.bias float32 10, "
    with pytest.raises(DataError, match=said):
        load_model(tmp_path / "m", MLP_SPEC, IMAGE, 10)
