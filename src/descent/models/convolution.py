"""A convolution of images through which the gradient finds its way back to the pixels sooner."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ImageConvolution(nn.Conv2d):
    """`nn.Conv2d` for images, which have one channel or three: other arithmetic only when they need a gradient.

    Training does not ask for the gradient with respect to the pixels, an attack asks for nothing else, and for one
    channel the library's own leaves most of the processor idle. So it is for 3×3 filters of stride 1 without padding;
    other ones take the library's way.
    """

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n filters rows columns"]:
        """Return the convolution."""
        plain = self.kernel_size == (3, 3) and self.stride == self.dilation == (1, 1) and self.groups == 1
        if not (x.requires_grad and plain and self.padding == (0, 0)):
            return super().forward(x)
        # The weights keep their own way back, which is not taken when only the pixels' gradient is asked for.
        output: Tensor = _ToPixels.apply(super().forward(x.detach()), x, self.weight.detach())  # type: ignore[no-untyped-call]
        return output


class _ToPixels(torch.autograd.Function):
    """Passes the output on; on the way back, the gradient of the pixels besides."""

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

    One matrix product gives all nine summands, each an image.

    Args:
        upstream: ∂L/∂output.
        weight: Its filters.
        shape: That of the images.
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
