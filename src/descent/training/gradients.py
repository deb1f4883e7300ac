"""The gradient of a batch's loss with respect to the weights of a model."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from descent.attacks.norms import Images
from descent.io.run_schema import IntervalBounds, Run
from descent.models.evaluation import TASKS
from descent.models.intervals import interval_margins


class Bounded(NamedTuple):
    """The first images of a batch, and bounds around all others."""

    x: Images
    lower: Images
    upper: Images


# Of a batch, a tensor or `Bounded`, and its targets.
Gradient = Callable[[Any, Tensor], list[Tensor]]


def loss_of(run: Run) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a batch, from predictions and targets.

    Label smoothing α compares the predicted probabilities with (1 − α) onehot(y) + α / K, for K classes (Szegedy et al.
    2016, arXiv:1512.00567, §7).
    """
    smoothing = {"label_smoothing": run.label_smoothing} if run.label_smoothing else {}
    return partial(TASKS[run.data].loss, reduction=run.reduction, **smoothing)


def batch_loss(model: nn.Sequential, run: Run) -> Callable[[Any, Tensor], Tensor]:
    """Return the loss of a model, where images have bounds that of the worst logits.

    It is at least the loss of any images between the bounds (Gowal et al. 2018, arXiv:1810.12715, §3). They weigh both
    losses of every image; one of the two for each, in the same proportion, has the same mean and takes half the time.
    """
    loss = loss_of(run)

    def of_batch(batch: Tensor | Bounded, y: Tensor) -> Tensor:
        if isinstance(batch, Tensor):
            return loss(model(batch), y)
        x, lower, upper = batch
        # The largest z_i − z_y of each class: cross-entropy is the same for logits less a number.
        worst = -interval_margins(model, lower, upper, y[len(x) :]).lower
        return loss(torch.cat([model(x), worst]), y)

    return of_batch


def gradient_of(model: nn.Sequential, run: Run) -> Gradient:
    """Return a function from a batch to a gradient for each of `model.parameters()`, in their order and layout.

    For dense networks under cross-entropy it is written out, which takes a fifth off an epoch and gives the same
    bits as autograd.
    """
    plain = run.data == "images" and not (run.label_smoothing or isinstance(run.adversary, IntervalBounds))
    if plain and (layers := dense_layers(model)):
        # Looked up once; detached, so that no graph is built without `torch.no_grad`.
        affine = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]
        return lambda x, y: cross_entropy_gradient(affine, x, y, run.reduction)
    loss, parameters = batch_loss(model, run), list(model.parameters())

    def by_autograd(batch: Tensor | Bounded, y: Tensor) -> list[Tensor]:
        model.zero_grad()
        loss(batch, y).backward()
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    return by_autograd


def dense_layers(model: nn.Sequential) -> list[nn.Linear]:
    """Return the layers of a network that flattens and has linear layers with biases and ReLU between; else none."""
    first, *rest = model
    kinds = [nn.Linear if place % 2 == 0 else nn.ReLU for place in range(len(rest))]
    if isinstance(first, nn.Flatten) and len(rest) % 2 == 1 and [type(layer) for layer in rest] == kinds:
        layers = [layer for layer in rest if isinstance(layer, nn.Linear)]
        return layers if all(layer.bias is not None for layer in layers) else []
    return []


def cross_entropy_gradient(
    layers: Sequence[tuple[Float[Tensor, "_ _"], Float[Tensor, " _"]]],
    x: Float[Tensor, " n *features"],
    y: Int[Tensor, " n"],
    reduction: str,
) -> list[Tensor]:
    """Return ∂L/∂θ for L = −Σ log softmax(z)_y, z the last of the layers with ReLU between them.

        ∂L/∂z = softmax(z) − onehot(y);    ∂L/∂a = (∂L/∂z W) where a > 0;    ∂L/∂W = (∂L/∂z)ᵀ a,  ∂L/∂b = Σ ∂L/∂z

    Backpropagation (Rumelhart, Hinton & Williams 1986, Nature 323) with autograd's own operations in its order. Each
    layer is a weight and a bias. "mean" divides by n.
    """
    given = [x.flatten(1)]
    for weight, bias in layers:
        given.append(torch.addmm(bias, given[-1], weight.t()))
        if len(given) <= len(layers):
            given[-1].relu_()
    log_shares = given[-1].log_softmax(dim=1)
    upstream = torch.zeros_like(log_shares).scatter_(1, y[:, None], -1 / len(y) if reduction == "mean" else -1.0)
    delta = torch.ops.aten._log_softmax_backward_data(upstream, log_shares, 1, log_shares.dtype)
    gradients: list[Tensor] = []
    for depth in reversed(range(len(layers))):
        gradients += [delta.sum(dim=0), delta.t().mm(given[depth])]
        if depth:
            delta = torch.ops.aten.threshold_backward(delta.mm(layers[depth][0]), given[depth], 0)
    return gradients[::-1]
