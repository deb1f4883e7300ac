"""Read images and labels as `descent.sources.images` obtained them."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxtyping import UInt8
from torch import Tensor

from descent.io.errors import DataError
from descent.io.tensors import load_tensors
from descent.sources.published import FILES, OTHERS, PUBLISHED, lacking
from descent.sources.vision import torchvision


def read_raw(folder: Path, recorded: Mapping[str, str]) -> tuple[dict[str, UInt8[Tensor, "..."]], list[str]]:
    """Read verified images and labels.

    Args:
        folder: Contains the files.
        recorded: What `obtain_images` returned.

    Returns:
        `train_images`, `test_images` (n × height × width, 0 black to 255 white), `train_labels`, `test_labels` (n);
        and the names of the classes.

    Raises:
        DataError: A file is missing, or has another SHA-256 than the published or the recorded one.
    """
    source = recorded["source"]
    if source not in PUBLISHED:
        tensors, metadata = load_tensors(folder / OTHERS, recorded["sha256"])
        return tensors, json.loads(metadata["classes"])
    if wrong := lacking(folder, source):
        raise DataError(f"{folder / min(wrong)}: not the published file; `dvc repro --force download` fetches it")
    tensors = {}
    with TemporaryDirectory() as temporary:
        for part, file in FILES.items():
            unpacked = Path(temporary, file)
            unpacked.write_bytes(gzip.decompress((folder / file).read_bytes()))
            tensors[part] = torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(str(unpacked))
    return tensors, list(PUBLISHED[source].classes)
