"""Loading a checkpoint: all of it is checked and built here, and nothing is changed yet.

`groups` reads the form of the dictionary and its groups, `rules` tells checkpoints of another
optimizer, `state` decides what the state of a parameter may consist of, and `values` makes one
value of it. `names` finds parameters by their names, `arranging` puts what was found into the order
of the optimizer, and `report` tells the caller of it.
"""

from schuss.loading.arranging import arranged, names_moved, one_of
from schuss.loading.groups import (
    Checkpoint,
    check_sizes,
    described,
    foreign,
    kept,
    merged,
    of_parameter,
    read,
)
from schuss.loading.names import Rename, matched, own_names, saved_names
from schuss.loading.report import LoadReport, Recoded, told
from schuss.loading.rules import RULE, check_rule, rule_of
from schuss.loading.state import States

__all__ = [
    "RULE",
    "Checkpoint",
    "LoadReport",
    "Recoded",
    "Rename",
    "States",
    "arranged",
    "check_rule",
    "check_sizes",
    "described",
    "foreign",
    "kept",
    "matched",
    "merged",
    "names_moved",
    "of_parameter",
    "one_of",
    "own_names",
    "read",
    "rule_of",
    "saved_names",
    "told",
]
