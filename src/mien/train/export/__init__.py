"""Export of trained weights as ONNX models."""
