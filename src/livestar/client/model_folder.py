"""Which checkpoint a user means, and how it wants to be watched with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import livestar
from livestar.core.errors import CheckpointError

SHIPPED = {"nano": "livestar-nano"}
PUBLISHED_ALPHA = 1.03
PUBLISHED_TRUNK_TOKENS = 6000


def find_model(name: str) -> Path:
    """The folder of a model that is shipped with the code, or the folder that the name is.

    Raises:
        CheckpointError: it is neither.
    """
    if Path(name).is_dir():
        return Path(name)
    shipped = Path(livestar.__file__).resolve().parents[2] / "models" / SHIPPED.get(name, name)
    if name in SHIPPED and shipped.is_dir():
        return shipped
    raise CheckpointError(
        f"there is no model '{name}': give a checkpoint folder, or one of {', '.join(SHIPPED)} in a source checkout"
    )


@dataclass(frozen=True)
class Recommended:
    """Settings that a checkpoint was calibrated with (livestar.json, key "recommended"), or the published ones.

    Attributes:
        alpha: of the narration's gate.
        max_trunk_tokens: longest trunk that the checkpoint is used to.
        question_alpha: of the gates of standing questions; None takes the narration's.
        query_below: NLL below which a grounding query holds, nats per token; None where it was not calibrated.
    """

    alpha: float = PUBLISHED_ALPHA
    max_trunk_tokens: int = PUBLISHED_TRUNK_TOKENS
    question_alpha: float | None = None
    query_below: float | None = None

    @classmethod
    def of(cls, directory: Path) -> Recommended:
        """Reads livestar.json; a folder without it gets the published settings.

        Raises:
            CheckpointError: it is not readable, or holds other keys.
        """
        from livestar.model.folder import read_json

        path = directory / "livestar.json"
        if not path.is_file():
            return cls()
        try:
            return cls(**read_json(path).get("recommended", {}))
        except (TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} holds no readable 'recommended' settings: mend or remove it"
            ) from error
