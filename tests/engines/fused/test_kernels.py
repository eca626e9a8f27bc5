"""The files that kernels are compiled from."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import schuss

STEP = """
import schuss, torch
param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
param.grad = torch.ones(2)
schuss.SGD([param], lr=0.5, fused=True).step()
print(param.tolist())
"""


def step_in_a_new_process(cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP],
        env={"SCHUSS_CACHE_DIR": str(cache), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[0.5, -2.5]\n", done.stderr


def test_the_source_is_readable_and_kept(tmp_path):
    step_in_a_new_process(tmp_path)
    (path,) = (tmp_path / "kernels").glob("sgd_float32_*.py")
    assert "v3 = v1 + a0 * v0" in path.read_text()
    written = path.stat().st_mtime_ns
    step_in_a_new_process(tmp_path)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("content", ["", "raise SystemExit", "def kernel(*_): ...", "\udcff"])
def test_a_damaged_file_is_written_anew_and_not_run(tmp_path, content):
    step_in_a_new_process(tmp_path)
    (path,) = (tmp_path / "kernels").glob("sgd_float32_*.py")
    source = path.read_text()
    path.write_text(content, errors="surrogateescape")
    step_in_a_new_process(tmp_path)
    assert path.read_text() == source


def test_a_directory_that_cannot_be_written_does_not_matter(tmp_path):
    (tmp_path / "file").write_text("")
    step_in_a_new_process(tmp_path / "file")


def test_many_processes_may_begin_at_once(tmp_path):
    threads = [threading.Thread(target=step_in_a_new_process, args=[tmp_path]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    step_in_a_new_process(tmp_path)
    assert not list((tmp_path / "kernels").glob("*.tmp"))


def large() -> tuple[nn.Parameter, schuss.Optimizer]:
    """Return a parameter that more than one thread steps."""
    param = nn.Parameter(torch.ones(3_000_000))
    param.grad = torch.ones_like(param)
    return param, schuss.SGD([param], lr=0.25, fused=True)


def test_two_threads_may_step_two_optimizers_at_once():
    pairs = [large() for _ in range(2)]

    def steps(optimizer: schuss.Optimizer) -> None:
        for _ in range(20):
            optimizer.step()

    threads = [threading.Thread(target=steps, args=[optimizer]) for _, optimizer in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((param == -4.0).all() for param, _ in pairs)


def step_after_the_fork(queue: Any) -> None:
    torch.set_num_threads(1)  # torch's own threads hang in a forked process
    param, optimizer = large()
    torch.set_num_threads(2)
    optimizer.step()
    torch.set_num_threads(1)
    queue.put(bool((param == 0.75).all()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_may_step_after_its_parent_did():
    _, optimizer = large()
    optimizer.step()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=step_after_the_fork, args=[queue])
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert queue.get()
