"""The differences between devices: how kernels are written, compiled, and run."""
