from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

import schuss
from schuss import Optimizer
from schuss.engines.devices.device import Resources


class Sampled(Optimizer):
    """A rule that no program can express."""

    def update(self, state, group, grad, param):
        return grad / grad.max().item()


class Scaled(Optimizer):
    """A rule in two passes."""

    def init_state(self, state, group, param):
        state["average"] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        state["average"].lerp_(grad, 0.5)
        return state["average"] / state["average"].norm()


def test_an_optimizer_explains_every_cohort_and_changes_nothing():
    layer = nn.Linear(3, 2)
    groups = [{"params": layer.weight}, {"params": layer.bias, "foreach": True}]
    optimizer = schuss.AdamW(groups)
    before = layer.weight.detach().clone()
    weight, bias = optimizer.explain().cohorts
    assert (weight.engine, weight.reason, weight.numbers) == ("fused", "it is the fastest", 6)
    assert (bias.engine, bias.reason) == ("foreach", "foreach=True asks for it")
    assert weight.path is not None
    assert weight.kernel == weight.path.read_text()
    assert weight.program == bias.program
    assert bias.bytes_per_number is bias.seconds is None
    assert not optimizer.state
    assert torch.equal(layer.weight, before)


def test_bytes_are_those_of_every_pass():
    param = nn.Parameter(torch.ones(5))
    (cohort,) = Scaled([param], {"lr": 0.1}).explain().cohorts  # type: ignore[call-arg]
    # The first pass reads gradient and average; the second these and the parameter, and writes two.
    assert cohort.bytes_per_number == 4 * (2 + 3 + 2)
    half = nn.Parameter(torch.ones(5, dtype=torch.bfloat16))
    (cohort,) = schuss.SGD([half], momentum=0.9).explain().cohorts
    assert cohort.bytes_per_number == 2 * (2 + 2)
    (cohort,) = schuss.Adam([half], master_weights=True).explain().cohorts
    # Gradient, parameter and remainder are half as wide as the moments.
    assert cohort.bytes_per_number == 3 * 2 + 2 * 4 + 2 * 2 + 2 * 4
    (cohort,) = schuss.Adam([half], master_weights=24).explain().cohorts
    assert cohort.bytes_per_number == 2 * 2 + 1 + 2 * 4 + 2 + 1 + 2 * 4


def test_the_reason_for_a_slower_engine_names_the_line():
    (cohort,) = Sampled([nn.Parameter(torch.ones(2))], {"lr": 0.1}).explain().cohorts  # type: ignore[call-arg]
    assert cohort.engine == "loop"
    assert "fused and foreach cannot: no kernel can express Tensor.item" in cohort.reason
    assert "test_explanation.py:17" in cohort.reason
    (cohort,) = schuss.SGD([nn.Parameter(torch.ones(2))], foreach=False).explain().cohorts
    assert cohort.reason == "foreach=False or fused=False asks for it"


def test_what_is_measured_before_a_step_is_a_pass_too():
    param = nn.Parameter(torch.ones(5))
    (cohort,) = schuss.DoG([param]).explain().cohorts
    # The first pass reads gradient, parameter and start; the second gradient and parameter.
    assert (cohort.passes, cohort.bytes_per_number) == (2, 4 * (3 + 2 + 1))
    assert cohort.bytes_read == 4 * (3 + 2)
    assert "24 bytes a number in 2 passes, 20 of them read" in str(cohort)


def test_kernels_of_one_pixel_have_no_rows():
    wide, narrow = (nn.Parameter(torch.ones(3, 2, *size)) for size in ((3, 3), (1, 1)))
    of_wide, of_narrow = schuss.Adafactor([wide, narrow], fused=True).explain().cohorts
    assert "row_sum" in (of_wide.program or "")
    assert "row_sum" not in (of_narrow.program or "")


def test_an_explanation_names_the_device_of_what_is_not_on_the_cpu():
    layer = nn.Linear(3, 2, device="meta")
    (cohort,) = schuss.AdamW(layer.parameters()).explain().cohorts
    assert cohort.device == torch.device("meta")
    assert "8 numbers of float32 on meta, on the foreach engine" in str(cohort)
    (cohort,) = schuss.AdamW(nn.Linear(3, 2).parameters()).explain().cohorts
    assert "8 numbers of float32, on the fused engine" in str(cohort)


def test_an_explanation_tells_what_does_not_fit_into_registers():
    layer = nn.Linear(3, 2)
    (cohort,) = schuss.AdamW(layer.parameters(), foreach=True).explain().cohorts
    told = str(replace(cohort, resources={"pass_0": Resources(255, 12)}))
    assert "pass_0 takes 255 registers for each thread, and 12 numbers of 32 bits more" in told


def test_operations_are_counted_with_the_numbers_of_the_step():
    counted = {}
    for form in ("ordinary", "gram", None):
        params = [nn.Parameter(torch.ones(16, 64)) for _ in range(3)]
        optimizer = schuss.Muon(params, form=form)
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
        (cohort,) = optimizer.explain().cohorts
        counted[form] = cohort.flops
    # Of matrices of m rows and 4 m columns: 5 (4 * 4 + 2) m³ and, with two runs of the Gram form,
    # 2 (4 * 4) m³ and 14 products of m by m. Which form is taken depends on the coefficients.
    assert counted["ordinary"] == 3 * 90 * 16**3
    assert counted["gram"] == counted[None] == 3 * 60 * 16**3
