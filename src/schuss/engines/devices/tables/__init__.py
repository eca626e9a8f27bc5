"""The tables that kernels go through, whose entries threads or blocks share out."""
