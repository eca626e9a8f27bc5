"""Loading a checkpoint: all of it is checked and built here, and nothing is changed yet.

`groups` reads the form of the dictionary and its groups, `state` decides what the state of a
parameter may consist of, and `values` makes one value of it.
"""

from schuss.loading.groups import described, foreign, merged, of_parameter, read
from schuss.loading.state import States

__all__ = ["States", "described", "foreign", "merged", "of_parameter", "read"]
