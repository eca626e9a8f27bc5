"""Kernels on the CPU: Python that Numba compiles, on the threads of torch."""
