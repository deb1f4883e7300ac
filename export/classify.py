"""Say what a picture shows: python export/classify.py export/convnet.onnx PICTURE.png."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
_, height, width = session.get_inputs()[0].shape
image = np.asarray(Image.open(sys.argv[2]).convert("L").resize((width, height)))
(probabilities,) = session.run(["probabilities"], {"images": image[None]})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
for place in probabilities[0].argsort()[:-4:-1]:
    print(f"{probabilities[0, place]:6.1%}  {classes[place]}")
