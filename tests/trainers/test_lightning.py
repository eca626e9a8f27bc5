"""Lightning's Trainer: mixed precision, clipping, and its wrapper around the optimizer."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of what Lightning imports
    import pytorch_lightning as lightning
    from pytorch_lightning.plugins.precision import MixedPrecision

import schuss
from schuss.composite import ndim

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
]

INPUTS = torch.linspace(-1, 1, 24).reshape(6, 4)


class Regression(lightning.LightningModule):
    def __init__(self, create: Any, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Linear(4, 2)
        self._create, self._options = create, options

    def training_step(self, batch: Tensor, number: int) -> Tensor:
        loss: Tensor = self.model(batch).float().square().sum() * 10
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = self._create(
            self.model.parameters(), lr=0.1, **self._options
        )
        return optimizer


def fitted(module: lightning.LightningModule, **options: Any) -> Tensor:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, torch.utils.data.DataLoader(INPUTS, batch_size=2))
    return torch.cat([param.detach().flatten() for param in module.parameters()])


def scaled() -> dict[str, Any]:
    """Return what `precision="16-mixed"` is on a GPU; on the CPU Lightning takes bfloat16."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)  # too large at first
    return {"plugins": MixedPrecision("16-mixed", "cpu", scaler)}


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_as_with_torchs_adamw(precision: str, clip: float | None) -> None:
    ours, theirs = (
        fitted(
            Regression(create),
            gradient_clip_val=clip,
            **(scaled() if precision == "16-mixed" else {"precision": precision}),
        )
        for create in (schuss.AdamW, torch.optim.AdamW)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)  # of a few roundings
    torch.manual_seed(0)
    start = torch.cat([param.detach().flatten() for param in nn.Linear(4, 2).parameters()])
    assert (ours - start).abs().min() > 0.01


def test_fused_is_refused_where_torchs_is() -> None:
    for create in (schuss.AdamW, torch.optim.AdamW):
        with pytest.raises(RuntimeError, match="does not allow for gradient clipping"):
            fitted(Regression(create, fused=True), gradient_clip_val=1.0, **scaled())


class Averaged(Regression):
    """Training by hand, which goes through Lightning's wrapper, and evaluates in between."""

    def __init__(self, evaluate: bool) -> None:
        super().__init__(schuss.AdamW, transforms=[schuss.EMA(0.9)])
        self.automatic_optimization = False
        self._evaluate = evaluate
        self.distances: list[float] = []

    def training_step(self, batch: Tensor, number: int) -> Tensor:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        loss = super().training_step(batch, number)
        self.manual_backward(loss)
        optimizer.step()
        if self._evaluate:
            weight = self.model.weight
            before = weight.detach().clone()
            with optimizer.evaluating():
                mean = optimizer.state[weight]["ema"]
                assert torch.equal(weight, mean)
                self.distances.append((before - mean).norm().item())
            assert torch.equal(weight, before)
        return loss


def test_the_mean_is_evaluated_through_the_wrapper() -> None:
    watched = Averaged(evaluate=True)
    assert torch.equal(fitted(watched), fitted(Averaged(evaluate=False)))
    assert min(watched.distances) > 0.01  # 6 steps of 0.1, of which the mean takes a tenth


class ByHand(Regression):
    """Training by hand, in which Lightning calls `step` within autocast."""

    def __init__(self, within: bool) -> None:
        super().__init__(_matrix_and_rest)
        self.automatic_optimization = False
        self._within = within

    def training_step(self, batch: Tensor, number: int) -> Tensor:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        loss = super().training_step(batch, number)
        self.manual_backward(loss)
        assert torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=self._within):
            optimizer.step()
        return loss


def _matrix_and_rest(params: Any, lr: float) -> schuss.Optimizer:
    named = zip(("weight", "bias"), params, strict=True)
    route = [("matrix", ndim == 2), ("rest", ndim == 1)]
    parts = {"matrix": schuss.SOAP(lr=lr), "rest": schuss.AdamW(lr=lr)}
    return schuss.Composite(named, route=route, **parts)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_steps_within_autocast_are_not_rounded_to_half_precision(precision: str) -> None:
    within, outside = (
        fitted(
            ByHand(each),
            **(scaled() if precision == "16-mixed" else {"precision": precision}),
        )
        for each in (True, False)
    )
    assert torch.equal(within, outside)
    start = torch.cat([param.detach().flatten() for param in ByHand(within=False).parameters()])
    assert (within - start).abs().min() > 0.01


class Released(Regression):
    """Training in which the backward pass takes the steps, and Lightning gives a closure."""

    def on_train_start(self) -> None:
        optimizer: Any = self.optimizers()
        self._block = optimizer.optimizer.releasing()
        self._block.__enter__()

    def on_train_end(self) -> None:
        assert all(param.grad is None for param in self.parameters())
        self._block.__exit__(None, None, None)


def test_gradients_are_released_in_lightnings_loop() -> None:
    released, plain = (fitted(each(schuss.AdamW)) for each in (Released, Regression))
    assert torch.equal(released, plain)
