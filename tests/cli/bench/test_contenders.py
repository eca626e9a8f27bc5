"""The contenders do the same work."""

from typing import Any

import pytest
import torch

from schuss.cli.bench.cases import Case
from schuss.cli.bench.contenders import CONTENDERS, NotAvailableError, prepared, selected
from schuss.cli.bench.workloads import Workload, parameters

# Others add eps before the correction of the bias, which makes it 30 times as large at first.
ADAMW = Case("adamw:lr=0.01,weight_decay=0.1,eps=1e-16", states=2)
SGD = Case("sgd:lr=0.01,momentum=0.9", states=1)
AMSGRAD = Case("amsgrad:lr=0.01", states=3)

IMPLEMENTATIONS = [name for name in CONTENDERS if name not in ("floor", "torch-compile")]

ON_DEMAND = {"torch-compile", "torch-chain", "schuss-chain"}


def after_steps(name: str, case: Case, workload: Workload) -> torch.Tensor:
    params = parameters(workload)
    contender = CONTENDERS[name].build(params, case)
    for _ in range(5):
        contender.step()
    return torch.cat([param.detach().flatten() for param in params])


@pytest.mark.parametrize("name", [name for name in IMPLEMENTATIONS if name != "schuss-adamw"])
def test_every_implementation_of_adamw_takes_the_same_steps(name: str, small: Workload) -> None:
    expected = after_steps("torch-loop", ADAMW, small)
    # Five steps of 0.01, in float32. Without the decay, weights of 0.02 would be 1e-4 apart.
    assert after_steps(name, ADAMW, small).allclose(expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("case", [SGD, AMSGRAD], ids=lambda case: case.name)
def test_hyperparameters_reach_both_torch_and_us(case: Case, small: Workload) -> None:
    expected = after_steps("torch-foreach", case, small)
    assert after_steps("schuss-loop", case, small).allclose(expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("torch-loop", "noam", "torch.optim has no noam"),
        ("torch-fused", "nadam", "torch's NAdam has no option fused"),
    ],
)
def test_what_torch_does_not_have_is_told(
    name: str, spec: str, message: str, small: Workload
) -> None:
    with pytest.raises(NotAvailableError) as caught:
        prepared(Case(spec, states=2), small, "cpu", name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "package"), [("labml", "labml_nn"), ("pytorch-optimizer", "pytorch_optimizer")]
)
def test_a_package_that_is_not_installed_is_told(
    name: str, package: str, small: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python takes a None for a module that cannot be found.
    for module in (package, f"{package}.optimizers"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(NotAvailableError, match="not installed"):
        prepared(ADAMW, small, "cpu", name)


def test_the_usual_contenders_are_all_but_the_slow_one() -> None:
    names = selected(ADAMW, [])
    assert set(CONTENDERS) - set(names) == {*ON_DEMAND, "schuss-adamw"}
    assert names == [name for name in CONTENDERS if name in names]


def test_those_that_the_others_are_compared_with_always_take_part() -> None:
    assert selected(ADAMW, ["labml"]) == ["torch-fused", "labml", "schuss-fused", "floor"]
    asked = ["schuss-loop", "torch-compile"]
    expected = ["torch-fused", "torch-compile", "schuss-loop", "schuss-adamw", "floor"]
    assert selected(SGD, asked) == expected


def test_other_libraries_are_compared_in_adamw_alone() -> None:
    assert not {"labml", "pytorch-optimizer"} & set(selected(SGD, []))


def test_the_floor_of_another_device_is_a_copy_that_moves_as_many_bytes(small: Workload) -> None:
    copy: Any = CONTENDERS["floor"].build(parameters(small, "meta"), Case("adamw", states=2))
    # 17 numbers of 4 bytes: weight and two of the state read and written, the gradient read.
    assert sum(tensor.nbytes for tensor in copy.tensors) == 17 * 4 * 7
    copy.step()
