"""The network in PyTorch made fast for prediction: fused copy, CUDA graphs, devices and precision."""
