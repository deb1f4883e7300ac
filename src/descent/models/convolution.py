"""A convolution of images with a faster gradient with respect to the pixels."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ImageConvolution(nn.Conv2d):
    """`nn.Conv2d` with its own gradient with respect to the pixels, for 3×3 filters of stride 1 without padding.

    Only an attack asks for this gradient, and for one channel PyTorch's own leaves most of the processor idle.
    """

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n filters rows columns"]:
        """Return the convolution."""
        plain = self.kernel_size == (3, 3) and self.stride == self.dilation == (1, 1) and self.groups == 1
        if not (x.requires_grad and plain and self.padding == (0, 0)):
            return super().forward(x)
        output: Tensor = _ToPixels.apply(super().forward(x.detach()), x, self.weight.detach())  # type: ignore[no-untyped-call]
        return output


class _ToPixels(torch.autograd.Function):
    """The identity of `output`, whose backward pass adds the gradient of the pixels."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.save_for_backward(weight)
        ctx.pixels = x.shape
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return upstream, pixel_gradient(upstream, weight, ctx.pixels), None


def pixel_gradient(
    upstream: Float[Tensor, "n filters rows columns"],
    weight: Float[Tensor, "filters channels 3 3"],
    shape: tuple[int, ...],
) -> Float[Tensor, "n channels height width"]:
    """Return ∂L/∂x of a convolution.

        ∂L/∂x = Σ over i, j of (∂L/∂output · W_ij), moved down by i and right by j

    One matrix product gives all nine summands, each an image. `upstream` is ∂L/∂output, `shape` that of the images.
    """
    filters, channels, *_ = weight.shape
    n, _, rows, columns = upstream.shape
    flat = upstream.permute(0, 2, 3, 1).reshape(-1, filters)  # a view where the channels come last
    summands = weight.reshape(filters, -1).t().mm(flat.t()).view(channels, 3, 3, n, rows, columns)
    gradient = upstream.new_zeros(channels, n, *shape[2:])
    for down in range(3):
        for right in range(3):
            gradient[:, :, down : down + rows, right : right + columns] += summands[:, down, right]
    return gradient.transpose(0, 1)
