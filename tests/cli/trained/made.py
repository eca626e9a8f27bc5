"""Outcomes that no training has made."""

from schuss.cli.trained.outcome import Outcome, Trial


def made_outcome(
    name: str,
    accuracy: float,
    *,
    task: str = "digits",
    rate: float = 0.1,
    seed: int = 0,
    test_loss: float = 0.5,
    diverged: bool = False,
    variant: str = "",
    kept: dict[str, str] | None = None,
    trial: Trial | None = None,
) -> Outcome:
    """Return an outcome of two epochs whose training loss is what lacks to the accuracy."""
    spec = f"{name}:lr={rate}"
    trial = trial or Trial(task, name, spec, "constant", epochs=2, seed=seed, variant=variant)
    return Outcome(
        trial,
        train_loss=1 - accuracy,
        test_loss=test_loss,
        test_accuracy=accuracy,
        steps=20,
        curve=(2.0, 1 - accuracy),
        test_curve=(2.0, test_loss),
        milliseconds=7.0,
        diverged=diverged,
        kept=kept or {},
        bytes=12.0,
    )
