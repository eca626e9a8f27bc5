"""What `torch.optim` has too."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from tests.ledger.row import Row


def _row(name: str, theirs: Any, options: str = "defaults", **hyperparameters: Any) -> Row:
    setting = {"lr": 3e-2, "weight_decay": 0.3, **hyperparameters}
    extra = {"amsgrad": True} if name == "amsgrad" else {}
    return Row(
        name, partial(theirs, **setting, **extra), theirs.__name__, setting, "torch", options
    )


ROWS = [
    _row("sgd", torch.optim.SGD),
    _row("sgd", torch.optim.SGD, "momentum, dampening", momentum=0.9, dampening=0.2),
    _row("sgd", torch.optim.SGD, "Nesterov", momentum=0.9, nesterov=True),
    _row("sgd", torch.optim.SGD, "maximize", momentum=0.9, maximize=True),
    _row("adam", torch.optim.Adam),
    _row("adam", torch.optim.Adam, "AMSGrad", amsgrad=True),
    _row("adam", torch.optim.Adam, "decoupled", decoupled_weight_decay=True),
    _row("adamw", torch.optim.AdamW),
    _row("adamw", torch.optim.AdamW, "AMSGrad", amsgrad=True),
    _row("adamw", torch.optim.AdamW, "maximize", maximize=True),
    _row("amsgrad", torch.optim.Adam),
    _row("nadam", torch.optim.NAdam),
    _row("nadam", torch.optim.NAdam, "decoupled", decoupled_weight_decay=True),
    _row("nadam", torch.optim.NAdam, "constant momentum", momentum_decay=0.0),
    _row("radam", torch.optim.RAdam),
    _row("radam", torch.optim.RAdam, "decoupled", decoupled_weight_decay=True),
    _row("adagrad", torch.optim.Adagrad),
    _row("adagrad", torch.optim.Adagrad, "decaying", lr_decay=0.1, initial_accumulator_value=0.1),
    _row("adadelta", torch.optim.Adadelta),
    _row("adamax", torch.optim.Adamax),
    _row("rmsprop", torch.optim.RMSprop),
    _row("rmsprop", torch.optim.RMSprop, "centered, momentum", centered=True, momentum=0.9),
]
