"""ConvNets of the kinds that tests need."""

from descent.io.run_schema import ConvNet, Convolution

STRIDED = Convolution(filters=4, kernel_size=4, stride=2, padding=1, max_pool=1)
POOLED = Convolution(filters=6, kernel_size=3, stride=1, padding=1, max_pool=2)


def convnet(*filters: int, hidden: int = 0, batch_norm: bool = False) -> ConvNet:
    """Return 3×3 convolutions, each followed by 2×2 max-pooling, and perhaps a hidden layer."""
    convolutions = [POOLED.model_copy(update={"filters": each, "padding": 0}) for each in filters]
    return ConvNet(kind="convnet", convolutions=convolutions, batch_norm=batch_norm, hidden=[hidden] if hidden else [])


def strided(*, batch_norm: bool = False, max_pool: int = 2) -> ConvNet:
    """Return a strided convolution, and a pooled one, which both pad."""
    convolutions = [STRIDED, POOLED.model_copy(update={"max_pool": max_pool})]
    return ConvNet(kind="convnet", convolutions=convolutions, batch_norm=batch_norm, hidden=[8])
