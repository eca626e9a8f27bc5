"""`schuss bench storage`, on the small workload."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench import storage
from schuss.cli.bench.workloads import WORKLOADS, Workload

SOME = ("8-bit state", "all bf16", "bitsandbytes, 8-bit state", "torchao, 8-bit state")


@pytest.fixture
def _small(monkeypatch):
    workload = Workload("small", "Small", ((70, 70), (5,)))
    monkeypatch.setattr(storage, "WORKLOADS", {"small": workload})
    contenders = {name: storage.CONTENDERS[name] for name in SOME}
    other = "bitsandbytes, 8-bit state"  # which takes seconds to import
    contenders[other] = contenders[other]._replace(made=torch.optim.AdamW)
    monkeypatch.setattr(storage, "CONTENDERS", contenders)
    monkeypatch.setattr(storage, "_BLOCK", 1e-4)


@pytest.mark.usefixtures("_small")
@pytest.mark.filterwarnings("ignore:AdamW")  # some weights do not move, as is to be expected
def test_every_contender_has_a_row_and_the_document_gets_them(tmp_path):
    document = tmp_path / "page.md"
    markers = (f"<!-- {word} schuss bench: storage -->\n" for word in ("begin", "end"))
    document.write_text("".join(markers))
    command = ["bench", "storage", "--workload", "small", "--rounds", "3", "--threads", "1"]
    result = CliRunner().invoke(app, [*command, "--markdown", str(document)])
    assert result.exit_code == 0, result.output
    text = document.read_text()
    assert "schuss bench storage --rounds 3 --threads 1" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row[0].removeprefix("| ") for row in rows] == list(SOME)
    assert [float(cell) for row in rows for cell in row[1:3]] == [
        *(2.125, 12 + 2 * 2.125, 4, 6 + 2 * 4),
        *(2.03125, 12 + 2 * 2.03125) * 2,
    ]
    assert float(rows[0][3]) >= 0
    assert rows[1][6] == "2.00"  # 28 bytes, over 14
    assert "| torchao is not installed |" in text
    (line,) = (line for line in text.splitlines() if line.startswith("bitsandbytes, 8-bit state: "))
    ratio, rest = line.removeprefix("bitsandbytes, 8-bit state: ").split(" ", maxsplit=1)
    assert float(ratio) > 0
    assert rest == "times as long as 8-bit state."


OURS = [name for name in storage.CONTENDERS if not name.endswith((", 8-bit state", "s, float32"))]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.filterwarnings("ignore:AdamW")
def test_bytes_of_state_are_those_that_are_told(name):
    contender = storage.CONTENDERS[name]
    param = torch.nn.Parameter(torch.randn(1 << 14).to(contender.dtype))
    param.grad = torch.randn(1 << 14).to(contender.dtype)
    optimizer = contender.made([param])
    optimizer.step()
    found = 0
    for value in optimizer.state_dict()["state"][0].values():
        if torch.is_tensor(value) and value.dim():
            found += value.numel() * value.element_size()
    assert found == pytest.approx(contender.state * (1 << 14), rel=1e-3)


def test_the_workloads_are_there():
    assert set(storage.PLACES) <= set(WORKLOADS)
