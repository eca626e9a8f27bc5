"""Two processes: `fully_shard`, and ZeroRedundancyOptimizer, beside one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.multiprocessing
from filelock import FileLock

from tests.trainers import codes
from tests.trainers.ranks import RANKS, RESUMED, SHARDED, work

Findings = list[dict[str, Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Findings:
    alone = worker_id == "master"
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / "ranks"  # which all workers of a run share
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            torch.multiprocessing.spawn(work, (str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


TOLERANCES = {"half": 2**-9, "half, kahan": 2**-8, "half, stochastic": 2**-7}
"""Of a few roundings: of bfloat16 the last place below 0.5, or below 1, or two of these."""


@pytest.mark.parametrize("name", SHARDED)
def test_sharded_parameters_step_as_in_one_process(ranks: Findings, name: str) -> None:
    tolerance = TOLERANCES.get(name, 1e-6)
    for rank in ranks:
        found = rank["sharded"][name]
        torch.testing.assert_close(found["place"], found["expected"], rtol=0, atol=tolerance)
        assert not torch.allclose(found["start"], found["expected"], rtol=0, atol=4 * tolerance)
        assert found["numbers"] == pytest.approx(found["expected_numbers"], rel=1e-5)


@pytest.mark.parametrize("name", SHARDED)
def test_sharded_parameters_resume_bit_for_bit(ranks: Findings, name: str) -> None:
    for rank in ranks:
        found = rank["sharded"][name]
        assert torch.equal(found["end"], found["resumed"])
        assert not torch.equal(found["end"], found["place"])


@pytest.mark.parametrize("name", SHARDED)
def test_all_ranks_have_the_same_numbers(ranks: Findings, name: str) -> None:
    one, other = (rank["sharded"][name] for rank in ranks)
    assert one["numbers"] == other["numbers"]
    assert torch.equal(one["place"], other["place"])


def test_a_gradient_that_is_not_finite_on_one_rank_skips_the_step_on_all(ranks: Findings) -> None:
    for rank in ranks:
        assert not rank["skip"].any()


def test_the_norm_is_of_sharded_and_plain_parameters_together(ranks: Findings) -> None:
    # sqrt(4² + 4² + 7²) = 9, so that a tenth is left of each.
    for rank in ranks:
        assert rank["beside plain"] == pytest.approx([-0.4, -0.4, -0.7], rel=1e-5)


def test_means_of_sharded_weights_are_evaluated(ranks: Findings) -> None:
    for rank in ranks:
        mean, trained = rank["evaluate"]
        # EMA(0.5) is half a step and a bit behind, and steps are of 0.01.
        assert 0.004 < (mean - trained).abs().max() < 0.02


@pytest.mark.parametrize("name", RESUMED)
def test_a_partitioned_optimizer_resumes_bit_for_bit(ranks: Findings, name: str) -> None:
    for rank in ranks:
        assert torch.equal(rank["resumed"][name]["whole"], rank["resumed"][name]["resumed"])


def test_where_a_rank_knows_its_own_part_only_there_are_no_sums(ranks: Findings) -> None:
    for rank in ranks:
        errors = rank["parts"]
        assert errors.pop("without sums") == "none"
        assert "but FullyShardedDataParallel gives every rank a part" in errors.pop("flattened")
        for message in errors.values():
            assert "needs sums over all parameters, but ZeroRedundancyOptimizer gives" in message


@pytest.mark.parametrize("name", codes.CASES)
def test_codes_beside_sharded_parameters_are_those_of_one_process(
    ranks: Findings, name: str
) -> None:
    for rank in ranks:
        ours, alone = (dict(rank["codes"][name][key]) for key in ("ours", "alone"))
        encoded = {key for key in ours if key.endswith("codes")}
        assert encoded == {"0.weight exp_avg codes", "0.weight exp_avg_sq codes"}
        for key, tensor in ours.items():
            # Beside the second matrix one process has codes, of blocks with numbers of two rows.
            if not key.startswith("2."):
                assert torch.equal(tensor, alone[key])
                assert tensor.dtype is alone[key].dtype


@pytest.mark.parametrize("way", [*codes.FORMS, "file"])
@pytest.mark.parametrize("name", codes.CASES)
def test_codes_beside_sharded_parameters_are_saved_and_loaded_exactly(
    ranks: Findings, name: str, way: str
) -> None:
    for rank in ranks:
        found = rank["codes"][name]
        assert [key for key, _ in found[way]] == [key for key, _ in found["ours"]]
        for (_, tensor), (_, ours) in zip(found[way], found["ours"], strict=True):
            assert torch.equal(tensor, ours)


@pytest.mark.parametrize("name", codes.CASES)
def test_sharded_parameters_take_the_codes_of_one_process(ranks: Findings, name: str) -> None:
    for rank in ranks:
        ours, alone = (dict(rank["codes"][name][key]) for key in ("of one process", "alone"))
        assert torch.equal(ours["0.weight exp_avg codes"], alone["0.weight exp_avg codes"])
        assert ours["2.weight exp_avg"].abs().max() > 0
