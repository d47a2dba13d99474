"""Folds for other runtimes: ONNX files whose loops are loops, torch's own .pt2, and tensors beside their program."""
