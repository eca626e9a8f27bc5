"""The text of a kernel for Triton: blocks of numbers at once."""
