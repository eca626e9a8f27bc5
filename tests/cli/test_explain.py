from __future__ import annotations

import re

from typer.testing import CliRunner

from schuss.cli.app import app


def explained(*arguments: str):
    return CliRunner().invoke(app, ["explain", *arguments])


def test_a_step_is_explained_from_the_rule_to_the_time_it_takes():
    result = explained("adamw", "--model", "mnist")
    assert result.exit_code == 0, result.output
    assert "8 parameters, 431,080 numbers of float32, on the fused engine" in result.output
    assert "because it is the fastest" in result.output
    assert "v6 = lerp(v3, v0, a1)" in result.output
    assert "store_float32(p1, i, v14)" in result.output
    # Four tensors read, three written, four bytes each.
    assert "28 bytes a number" in result.output
    assert re.search(r"measured: \d+\.\d{3} ms a step", result.output)


def test_what_there_is_not_is_refused_with_what_there_is():
    result = explained("adamw", "--model", "vgg")
    assert result.exit_code == 2
    assert "there is no model 'vgg'; there are mnist, resnet50, gpt2" in result.output
    result = explained("adamv")
    assert result.exit_code == 2
    assert "no optimizer 'adamv'; did you mean adam" in result.output
