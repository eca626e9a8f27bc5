"""The Trainer of Hugging Face and Accelerate's wrapper, which call `train()` and `eval()`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from schuss import EMA, AdamW, AdamWScheduleFree, Composite, Optimizer
from schuss.composite import ndim

Create = Callable[[Any], Optimizer]

CREATE: dict[str, Create] = {
    "mean": lambda params: AdamW(params, lr=1e-2, transforms=[EMA(0.5)]),
    "schedule-free": lambda params: AdamWScheduleFree(params, lr=1e-2),
    "parts": lambda params: Composite(
        params,
        route=[("matrices", ndim == 2), ("vectors", ndim < 2)],
        matrices=AdamWScheduleFree(lr=1e-2),
        vectors=AdamW(lr=1e-2, transforms=[EMA(0.5)]),
    ),
}
DATA = [{"input_ids": [i, 15 - i, 3], "labels": i % 2} for i in range(16)]


def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    # Without dropout, whose draws differ after an evaluation: that takes a random number too.
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(vocab_size=16, intermediate_size=8, **sizes, **dropout)
    return BertForSequenceClassification(config)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([param.detach().flatten() for param in module.parameters()])


class Watched(Trainer):
    """Keeps the weights that every evaluation sees."""

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        result = super().evaluation_loop(*args, **options)
        self.seen = weights(self.model)
        return result


def trainer(create: Create, out: Path, **options: Any) -> Watched:
    module = model()
    settings = TrainingArguments(
        output_dir=str(out),
        max_steps=6,  # of 4 of the 16
        per_device_train_batch_size=4,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_strategy="no",
        **{"save_strategy": "no", **options},
    )
    optimizer = create(module.parameters())
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    data = {"train_dataset": DATA, "eval_dataset": DATA}
    return Watched(module, settings, optimizers=(optimizer, constant), **data)


@pytest.mark.parametrize("case", CREATE)
def test_the_mean_is_evaluated_and_training_goes_on_as_without(case: str, tmp_path: Path) -> None:
    plain = trainer(CREATE[case], tmp_path)
    plain.train()
    evaluated = trainer(CREATE[case], tmp_path, eval_strategy="steps", eval_steps=3)
    evaluated.train()
    trained = weights(plain.model)
    assert not torch.allclose(evaluated.seen, trained, atol=1e-3)  # steps are of 0.01
    with plain.optimizer.optimizer.evaluating():
        assert torch.equal(evaluated.seen, weights(plain.model))
    evaluated.optimizer.train()
    assert torch.equal(weights(evaluated.model), trained)


@pytest.mark.parametrize("case", CREATE)
def test_a_checkpoint_holds_the_mean_and_goes_on_with_what_was_trained(
    case: str, tmp_path: Path
) -> None:
    often = {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 3}
    whole = trainer(CREATE[case], tmp_path, **often)
    whole.train()
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-6")
    assert torch.equal(weights(saved), whole.seen)
    resumed = trainer(CREATE[case], tmp_path, **often)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert torch.equal(resumed.seen, whole.seen)
    for each in (resumed, whole):
        each.optimizer.train()
    assert torch.equal(weights(resumed.model), weights(whole.model))
    # Once more with the same trainer, after what an evaluation has left.
    resumed.evaluate()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert torch.equal(resumed.seen, whole.seen)


def test_accelerate_finds_both_modes() -> None:
    module = nn.Linear(2, 1)
    wrapped = Accelerator(cpu=True).prepare(CREATE["mean"](module.parameters()))
    module(torch.ones(2)).backward()
    wrapped.step()
    trained = weights(module)
    wrapped.eval()
    mean = weights(module)
    # EMA(0.5) after one step of 0.01, for a gradient of 1, and a decay of 1 % of that.
    torch.testing.assert_close(mean, trained + 0.005, atol=1e-4, rtol=0)
    with pytest.raises(RuntimeError, match=r"call `optimizer.train\(\)` first"):
        wrapped.step()
    wrapped.train()
    assert torch.equal(weights(module), trained)
