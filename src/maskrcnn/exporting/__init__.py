"""Models to ONNX, OpenVINO and torch.export; every artifact is compared with its model."""
