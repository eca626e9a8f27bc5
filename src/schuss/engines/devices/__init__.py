"""What is different on each device: how kernels are written, compiled, and run."""
