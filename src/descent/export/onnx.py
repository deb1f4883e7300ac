"""A trained classifier as ONNX: bytes of images in, probabilities out, the names of the classes inside."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from descent.io.files import replacing
from descent.models.evaluation import predict

# The exporter writes IR version 10, which onnxruntime reads from 1.18 on. Opset 20 needs only 9, read from 1.17 on.
OPSET, IR_VERSION = 20, 9


class FromBytes(nn.Module):
    """A classifier that takes images as bytes, and returns probabilities too."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: UInt8[Tensor, "n height width"]) -> tuple[Float[Tensor, "n classes"], ...]:
        """Return logits and probabilities."""
        logits = self.model(images.unsqueeze(1).float().div(255))
        return logits, logits.softmax(dim=1)


def mean_border(x: Float[Tensor, "n 1 height width"]) -> float:
    """Return the mean brightness of the four edges of images in [0, 1], from 0 for black to 255 for white."""
    edges = torch.cat([x[:, 0, 0], x[:, 0, -1], x[:, 0, :, 0], x[:, 0, :, -1]], dim=1)
    return edges.double().mean().item() * 255


def export(
    model: nn.Module, path: Path, size: tuple[int, int], classes: Sequence[str], border: float, description: str
) -> None:
    """Write a classifier of grey images as ONNX; the bytes depend on the arguments alone.

    The file takes `images`, n × height × width bytes, and gives `logits` and `probabilities`, n × classes. Its metadata
    has `classes`, their names in order as JSON, and `border`, the `mean_border` of the training images, by which
    `classify.py` recognises inverted pictures. `model` is in evaluation mode; `description` is for `doc_string`.
    """
    with warnings.catch_warnings(action="ignore"):  # what torch says to itself
        program = torch.onnx.export(
            FromBytes(model),
            (torch.zeros(2, *size, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - told to the type checker: dynamo gives one
    made = program.model_proto
    # The exporter notes where each operation stood in the code: paths of this machine.
    for part in (made, made.graph, *made.graph.node, *made.graph.input, *made.graph.output, *made.graph.value_info):
        del part.metadata_props[:]
    made.ir_version = IR_VERSION
    made.doc_string = description
    made.metadata_props.add(key="classes", value=json.dumps(list(classes)))
    made.metadata_props.add(key="border", value=f"{border:.1f}")
    onnx.checker.check_model(made, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(made.SerializeToString(deterministic=True))


def compare(
    model: nn.Module, path: Path, x: Float[Tensor, "n 1 height width"], batch_size: int
) -> dict[str, float | int]:
    """Compare an exported classifier with its original on images whose pixels are multiples of 1/255.

    Returns how many `images` there are, the `largest_difference` of a logit, and how many have `other_classes`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = (x[:, 0] * 255).round().byte().numpy()
    parts = [session.run(["logits"], {"images": part})[0] for part in np.array_split(images, -(-len(x) // batch_size))]
    theirs, ours = torch.from_numpy(np.concatenate(parts)), predict(model, x, batch_size)
    return {
        "images": len(x),
        "largest_difference": (theirs - ours).abs().max().item(),
        "other_classes": int((theirs.argmax(dim=1) != ours.argmax(dim=1)).sum()),
    }
