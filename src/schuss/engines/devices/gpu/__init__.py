"""Kernels on a GPU: Python that Triton compiles."""
