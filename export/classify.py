"""Classify a picture: python export/classify.py [--invert] export/convnet.onnx PICTURE.

Needs numpy, onnxruntime and Pillow, and nothing of this project.
"""

import argparse
import json
import sys
import warnings

try:
    import numpy as np
    import onnxruntime
    from PIL import Image, ImageOps, UnidentifiedImageError
except ImportError as missing:
    sys.exit(f"ERROR: {missing}; install it with `pip install numpy onnxruntime pillow`")

FORMATS = ("PNG", "JPEG")
# Pillow's names of the pixel types that become one grey byte with no loss but of colour.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


def load(path: str) -> tuple[onnxruntime.InferenceSession, list[str], float]:
    """Load a classifier that `make export` wrote, its classes, and the border of the images it was trained on."""
    try:
        with open(path, "rb") as file:
            session = onnxruntime.InferenceSession(file.read(), providers=["CPUExecutionProvider"])
    except OSError as error:
        sys.exit(f"ERROR: {path}: {error.strerror}")
    except Exception as error:  # onnxruntime's errors have no other base
        reason = " ".join(str(error).split())
        sys.exit(f"ERROR: {path}: not an ONNX file that onnxruntime {onnxruntime.__version__} can read ({reason})")
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        return session, json.loads(metadata["classes"]), float(metadata["border"])
    except (KeyError, ValueError):
        sys.exit(f"ERROR: {path}: its metadata lacks `classes` or `border`; write the file with `make export`")


def read(path: str, height: int, width: int) -> np.ndarray:
    """Read a picture as height × width grey bytes; refuse what would lose more than colour and size."""
    for refused in (Image.DecompressionBombWarning, UserWarning):  # Pillow warns of a damaged EXIF block, and goes on
        warnings.simplefilter("error", refused)
    try:
        with Image.open(path, formats=FORMATS) as file:
            # 16-bit RGB has the mode RGB, and RGB;16B in the decoder's arguments.
            if file.mode not in MODES or "16" in str(file.tile[0][3]):
                sys.exit(f"ERROR: {path}: pixel type {file.mode}; save it with 8 bits, as grey or RGB")
            if file.format == "PNG" and getattr(file, "is_animated", False):
                sys.exit(f"ERROR: {path}: animated; save one frame")
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        sys.exit(f"ERROR: {path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down")
    except UnidentifiedImageError:
        sys.exit(f"ERROR: {path}: not a picture in one of the formats {', '.join(FORMATS)}")
    except Exception as error:  # a damaged picture can raise nearly anything in Pillow
        reason = getattr(error, "strerror", None) or f"damaged ({' '.join(str(error).split())})"
        sys.exit(f"ERROR: {path}: {reason}")
    if picture.getchannel("A").getextrema() != (255, 255):
        sys.exit(f"ERROR: {path}: transparent in places; flatten it on black first")
    shape, expected = f"{picture.width}×{picture.height} pixels", f"{width}×{height}"
    if picture.width < width or picture.height < height:
        sys.exit(f"ERROR: {path}: {shape}; expected {expected} at least")
    if round(picture.height * width / picture.width) != height:
        sys.exit(f"ERROR: {path}: {shape}; expected the aspect ratio of {expected}: crop or pad it")
    return np.asarray(picture.convert("L").resize((width, height)))


def main() -> None:
    """Print the three most probable classes."""
    parser = argparse.ArgumentParser(description="Classify a picture: print the three most probable classes.")
    parser.add_argument("--invert", action="store_true", help="swap black and white first")
    parser.add_argument("model", help="an ONNX file that `make export` wrote")
    parser.add_argument("picture", help="a PNG or JPEG file")
    given = parser.parse_args()

    session, classes, expected = load(given.model)
    _, height, width = session.get_inputs()[0].shape
    image = read(given.picture, height, width)
    if given.invert:
        image = 255 - image
    if image.min() == image.max():
        sys.exit(f"ERROR: {given.picture}: all pixels are equal; there is nothing to classify")
    border = np.r_[image[0], image[-1], image[:, 0], image[:, -1]].mean()
    if abs(border - expected) > 255 / 2:
        sys.exit(
            f"ERROR: {given.picture}: its border has a mean brightness of {border:.0f} of 255, that of the training "
            f"images {expected:.0f}; {'leave out' if given.invert else 'add'} --invert if light and dark are swapped"
        )

    (probabilities,) = session.run(["probabilities"], {"images": image[None]})
    sys.stdout.reconfigure(errors="backslashreplace")  # names of classes can be in any script
    for place in probabilities[0].argsort()[:-4:-1]:
        print(f"{probabilities[0, place]:6.1%}  {classes[place]}")


if __name__ == "__main__":
    main()
