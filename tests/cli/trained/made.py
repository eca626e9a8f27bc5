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
    trial: Trial | None = None,
) -> Outcome:
    """Return an outcome of two epochs whose training loss is what lacks to the accuracy."""
    trial = trial or Trial(task, name, f"{name}:lr={rate}", "constant", epochs=2, seed=seed)
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
    )
