"""Export: ONNX files and model cards."""
