"""An encoded tensor reads as its numbers, and takes what is written into it."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from schuss.storage.codecs import CODECS, Encoded, encoded


@pytest.fixture
def given():
    return torch.randn(50, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tensor(given):
    return encoded(CODECS["int8"], given)


def test_it_reads_as_a_tensor(tensor, given):
    assert tensor.shape == given.shape
    assert tensor.dtype is torch.float32
    assert (tensor - given).abs().max() < 0.03 * given.abs().max()
    assert torch.equal(tensor + 1, tensor.decoded() + 1)
    assert torch.equal(tensor[3], tensor.decoded()[3])
    assert torch.equal(torch.stack([tensor, tensor])[1], tensor.decoded())


@pytest.mark.parametrize(
    "write",
    [
        lambda tensor, new: tensor.copy_(new),
        lambda tensor, new: tensor.mul_(0).add_(new),
        lambda tensor, new: torch._foreach_copy_([tensor], [new]),
        lambda tensor, new: torch.mul(new, 1.0, out=tensor),
        lambda tensor, new: tensor.detach().copy_(new),
        lambda tensor, new: tensor.__setitem__(slice(None), new),
        lambda tensor, new: tensor.data.copy_(new),
        lambda tensor, new: setattr(tensor, "data", new),
    ],
    ids=["copy", "several operations", "foreach", "out", "detached", "items", "its data", "data"],
)
def test_what_is_written_into_it_is_encoded(tensor, write):
    new = torch.linspace(-2, 5, 150).view(50, 3)
    memory = tensor.codes.data_ptr(), tensor.scales.data_ptr()
    write(tensor, new)
    assert isinstance(tensor, Encoded)
    assert torch.equal(tensor.codes, encoded(tensor.codec, new).codes)
    assert (tensor.codes.data_ptr(), tensor.scales.data_ptr()) == memory


def test_some_numbers_are_written_and_the_others_stay(tensor):
    before = tensor.decoded()
    tensor[4] = 0.5
    tensor[tensor < -1] = -1.0
    torch.testing.assert_close(tensor[4], torch.full((3,), 0.5), rtol=1e-3, atol=0)
    kept = (before >= -1).all(1)
    kept[4] = False
    torch.testing.assert_close(tensor[kept], before[kept], rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    "other", [torch.zeros(3), torch.zeros(50, 3, device="meta")], ids=["shape", "device"]
)
def test_its_data_cannot_become_that_of_another_kind(tensor, other):
    with pytest.raises(RuntimeError, match="put the other tensor in its place"):
        tensor.data = other


def test_it_reads_as_an_array_and_as_lists(tensor):
    assert tensor.numpy().dtype == "float32"
    assert (np.asarray(tensor) == tensor.decoded().numpy()).all()
    assert tensor.tolist() == tensor.decoded().tolist()


def test_its_memory_can_be_shared(tensor):
    assert not tensor.is_shared()
    before = tensor.decoded()
    assert tensor.share_memory_() is tensor
    assert tensor.is_shared()
    assert tensor.scales.is_shared()
    assert torch.equal(tensor.decoded(), before)


def test_an_operation_in_place_returns_the_tensor_itself(tensor):
    assert tensor.mul_(2) is tensor
    assert tensor.lerp_(torch.zeros(50, 3), 0.5) is tensor


@pytest.mark.parametrize(
    "copied",
    [
        torch.clone,
        copy.deepcopy,
        lambda tensor: pickle.loads(pickle.dumps(tensor)),
        lambda tensor: tensor.copied(torch.device("cpu"), torch.float32),
    ],
    ids=["clone", "deepcopy", "pickle", "copied"],
)
def test_a_copy_has_the_same_codes_and_memory_of_its_own(tensor, copied):
    other = copied(tensor)
    assert isinstance(other, Encoded)
    assert torch.equal(other.codes, tensor.codes)
    assert torch.equal(other.scales, tensor.scales)
    other.zero_()
    assert tensor.abs().sum() > 0


def test_it_is_saved_and_loaded_by_torch(tensor):
    file = io.BytesIO()
    torch.save(tensor, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False).codes, tensor.codes)


def test_it_shows_its_numbers_and_its_codec(tensor):
    assert repr(tensor).endswith("kept as int8")
