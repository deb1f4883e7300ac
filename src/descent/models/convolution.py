"""A convolution of images that is fast where PyTorch's is slow: of few channels."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ImageConvolution(nn.Conv2d):
    """`nn.Conv2d` as one product of matrices: the patches under the filters, times the filters.

    With the one channel of grey images PyTorch's own leaves most of the processor idle, above all in the gradients.
    """

    def __init__(
        self, channels: int, filters: int, kernel_size: int, stride: int = 1, padding: int = 0, *, bias: bool = True
    ) -> None:
        """Make square filters; `padding` zeros are added at each edge."""
        super().__init__(channels, filters, kernel_size, stride, padding, bias=bias)
        self._size, self._stride, self._padding = kernel_size, stride, padding

    def _conv_forward(
        self,
        input: Float[Tensor, "n channels height width"],  # noqa: A002 - torch's name
        weight: Float[Tensor, "filters channels size size"],
        bias: Float[Tensor, " filters"] | None,
    ) -> Float[Tensor, "n filters rows columns"]:
        patches = F.unfold(input, self._size, padding=self._padding, stride=self._stride).transpose(1, 2)
        rows = (input.shape[2] + 2 * self._padding - self._size) // self._stride + 1
        output: Tensor = F.linear(patches, weight.flatten(1), bias).transpose(1, 2).unflatten(2, (rows, -1))
        return output
