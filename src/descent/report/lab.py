"""The laboratory: a page on which a browser runs the classifiers and attacks them, from weights inside the page."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from descent.report.markup import templates
from descent.sources.published import title, warning

# Images of each class, the first of the test set.
EACH = 10


class Network(NamedTuple):
    """A classifier for network.js: its layers, with their shapes, and their weights one after the other, as base64.

    A weight is the first three bytes of a float32, which keep 16 significant bits: the text is three quarters as long,
    and probabilities change by about 1e-6.
    """

    layers: list[dict[str, Any]]
    weights: str


def offered(model: nn.Sequential) -> bool:
    """Whether network.js has every layer of a classifier, with its settings."""
    return all(map(_known, model))


@torch.no_grad()
def network(model: nn.Sequential, shape: Sequence[int]) -> Network:
    """Describe a classifier in evaluation mode, for images of `shape`, channels × height × width.

    Batch normalisation becomes a factor and a summand for each channel.
    """
    layers, weights, x = list[dict[str, Any]](), list[Tensor](), torch.zeros(1, *shape)
    for layer in model:
        y = layer(x)
        described: dict[str, Any] = {
            "kind": type(layer).__name__,
            "shape": list(x.shape[1:]),
            "outputs": list(y.shape[1:]),
        }
        if isinstance(layer, nn.Conv2d):
            described |= {"size": layer.kernel_size[0], "stride": layer.stride[0], "padding": int(layer.padding[0])}
        if isinstance(layer, nn.MaxPool2d):
            described["size"] = layer.kernel_size
        if isinstance(layer, nn.Linear | nn.Conv2d):
            weights += [layer.weight, torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias]
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None and layer.running_mean is not None:
            factor = layer.weight.double() / (layer.running_var.double() + layer.eps).sqrt()
            weights += [factor, layer.bias.double() - layer.running_mean.double() * factor]
        layers += [described] if not isinstance(layer, nn.Flatten) else []
        x = y
    bits = torch.cat([weight.flatten().float() for weight in weights]).view(torch.int32) + 128  # rounded
    return Network(layers, b64encode(bits.view(torch.uint8).view(-1, 4)[:, 1:].numpy().tobytes()).decode())


def _known(layer: nn.Module) -> bool:
    match layer:
        case nn.Conv2d(padding=tuple(), padding_mode="zeros", dilation=(1, 1), groups=1):
            return all(len(set(pair)) == 1 for pair in (layer.kernel_size, layer.stride, layer.padding))
        case nn.MaxPool2d(kernel_size=int() as size, padding=0, dilation=1, ceil_mode=False):
            return bool(layer.stride == size)
        case nn.BatchNorm2d(affine=True, track_running_stats=True) | nn.Flatten() | nn.Linear() | nn.ReLU():
            return True
    return False


def samples(y: Int[Tensor, " n"], classes: int) -> list[int]:
    """Return the indices of the first ten images of each class, in the order of the classes."""
    return [int(index) for label in range(classes) for index in (y == label).nonzero()[:EACH, 0]]


def lab_page(
    models: Mapping[str, nn.Sequential],
    x: Float[Tensor, "n 1 height width"],
    y: Int[Tensor, " n"],
    classes: Sequence[str],
    source: str,
) -> str:
    """Write the page, one HTML file that needs no network; byte-identical for equal arguments.

    Args:
        models: The classifiers by run, in evaluation mode. Those with a layer that network.js lacks are named only.
        x: Test images with pixels in [0, 1], multiples of 1/255.
        y: Their classes.
        classes: The names of the classes.
        source: The source of the images, as in metrics/data.json.
    """
    shown = samples(y, len(classes))
    height, width = x.shape[2:]
    pixels = (x[shown, 0] * 255).round().to(torch.uint8)
    picture = BytesIO()
    Image.fromarray(pixels.flatten(0, 1).numpy()).save(picture, format="png", optimize=True)
    networks = {run: network(model, x.shape[1:]) for run, model in models.items() if offered(model)}
    described = {
        "networks": {run: each._asdict() for run, each in networks.items()},
        "classes": list(classes),
        "labels": y[shown].tolist(),
        "pixels": b64encode(pixels.numpy().tobytes()).decode(),
        "height": height,
        "width": width,
    }
    return (
        templates()
        .get_template("lab.html")
        .render(
            lab=described,
            sprite=b64encode(picture.getvalue()).decode(),
            missing=[run for run in models if run not in networks],
            images=title(source),
            warning=warning(source),
        )
    )
