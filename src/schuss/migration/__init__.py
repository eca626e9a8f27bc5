"""Checkpoints of other packages, made into those of schuss.

`torch.optim`, labml-nn, lion-pytorch, adamp and adabelief-pytorch need nothing of this: their
checkpoints load as they are.
"""

from schuss.migration.migrate import FORMATS, migrated

__all__ = ["FORMATS", "migrated"]
