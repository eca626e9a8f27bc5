"""Optimizers, and what a step of them has to move."""

import pytest

from schuss.cli.bench.cases import parse_case
from schuss.cli.errors import OptionError


@pytest.mark.parametrize(
    ("spec", "states"),
    [
        ("sgd", 0),
        ("sgd:momentum=0.9", 1),
        ("AdamW:weight_decay=0.1", 2),
        ("nadam", 2),
        ("amsgrad", 3),
    ],
)
def test_state_is_counted_in_numbers_for_each_number(spec: str, states: int) -> None:
    assert parse_case(spec).states == states


def test_a_step_reads_and_writes_the_state_and_the_parameter_and_reads_the_gradient() -> None:
    case = parse_case("adamw")
    assert case.bytes(10) == 4 * 10 * (4 + 3)
    assert case.footprint(10) == 4 * 10 * 4


def test_the_name_is_the_registry_s() -> None:
    case = parse_case("AdamW:lr=0.5")
    assert (case.name, case.hyperparameters) == ("adamw", {"lr": 0.5})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adamv", "--optimizer adamv: no optimizer 'adamv'; did you mean adam"),
        ("adamw:lr=-1.0", "--optimizer adamw:lr=-1.0: Invalid learning rate"),
        ("adamw:speed=2", "--optimizer adamw:speed=2: "),
        ("adamw:lr", "--optimizer adamw:lr: cannot read"),
    ],
)
def test_what_cannot_be_had_is_an_error_of_the_option(spec: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_case(spec)
    assert str(caught.value).startswith(message)
