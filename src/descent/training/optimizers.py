"""Stochastic gradient descent with momentum, Adam and AdamW, each in one call for all weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from descent.io.run_schema import Run


@runtime_checkable
class Optimizer(Protocol):
    """Takes steps, and keeps a state from one to the next."""

    state: Mapping[str, Tensor]

    def __call__(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        """Change the weights, given a gradient for each, in their order and layout; η may be a tensor, for a replay."""


class SGD:
    """Stochastic gradient descent with Nesterov momentum μ, in place.

        g ← g + λθ;  v ← μv + g;  θ ← θ − η (g + μv)

    The weight decay λ is coupled: the gradient of λ‖θ‖²/2 is added, for biases too. The momentum is that of Sutskever
    et al. 2013 (ICML, eqs. 3 and 4), as `torch.optim.SGD` has it; the default 0 is plain gradient descent.
    """

    def __init__(self, parameters: Sequence[Tensor], weight_decay: float, momentum: float = 0.0) -> None:
        self._weights = [parameter.detach() for parameter in parameters]
        self._weight_decay, self._momentum = weight_decay, momentum
        self._velocities = [torch.zeros_like(weight) for weight in self._weights] if momentum else []
        self.state: Mapping[str, Tensor] = {f"sgd.velocity.{n}": tensor for n, tensor in enumerate(self._velocities)}

    def __call__(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        """Take a step."""
        torch._fused_sgd_(
            self._weights,
            list(gradients),
            self._velocities,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
            is_first_step=False,
        )


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) with its β₁ = 0.9, β₂ = 0.999, ε = 1e-8, λ coupled.

        g ← g + λθ;  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²
        θ ← θ − η (m / (1 − β₁ᵏ)) / (√(v / (1 − β₂ᵏ)) + ε)    at step k

    These are the bits of `torch.optim.Adam`, which spends 0.12 ms more a step, a seventh of the MLP's, and imports a
    compiler for 1.5 s.
    """

    _step_all: ClassVar[Callable[..., object]] = staticmethod(torch._fused_adam_)

    def __init__(self, parameters: Sequence[Tensor], weight_decay: float) -> None:
        self._weights = [parameter.detach() for parameter in parameters]
        self._weight_decay = weight_decay
        self._means, self._squares = ([torch.zeros_like(weight) for weight in self._weights] for _ in range(2))
        self._step = torch.zeros((), device=self._weights[0].device)
        self._steps = [self._step] * len(self._weights)  # one tensor, counted once
        self.state: Mapping[str, Tensor] = {"adam.step": self._step} | {
            f"adam.{name}.{number}": tensor
            for name, tensors in (("mean", self._means), ("square", self._squares))
            for number, tensor in enumerate(tensors)
        }

    def __call__(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        """Take a step."""
        self._step.add_(1)
        self._step_all(
            self._weights,
            list(gradients),
            self._means,
            self._squares,
            [],
            self._steps,
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self._weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2).

    θ ← θ − ηλθ, then a step of Adam without λ; the bits of `torch.optim.AdamW`.
    """

    _step_all = staticmethod(torch._fused_adamw_)


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def optimizer_of(run: Run, parameters: Sequence[Tensor]) -> Optimizer:
    """Return a new optimizer of these weights, as the run says."""
    momentum = {"momentum": run.momentum} if run.momentum else {}
    return OPTIMIZERS[run.optimizer](parameters, run.weight_decay, **momentum)
