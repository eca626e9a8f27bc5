"""The foreach engine: a program, played with torch's operations on lists of tensors.

It takes every device, dtype and memory layout that torch does.
"""
