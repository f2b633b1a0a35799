"""Errors of this room; each message gives the cause and a remedy.

Belongs here: errors that other rooms catch or show to people. Does not: errors between two modules of this room.
"""

from __future__ import annotations

from movierec_assets.errors import ExplainedError
from movierec_assets.models.version import MODEL_NAME


class RegistryUnavailableError(ExplainedError, RuntimeError):
    """MLflow does not answer."""


class NoSuchVersionError(ExplainedError, LookupError):
    """The registry has no version of this number."""


class VersionFilesError(ExplainedError, RuntimeError):
    """A version cannot be loaded because its files are gone or damaged.

    Never raised because MLflow, the disk or the network does not answer.

    Attributes
    ----------
    version : int
    fault : str
        The file and its fault, without a full stop.
    """

    def __init__(self, version: int, fault: str, remedy: str) -> None:
        super().__init__(f"Version {version} of {MODEL_NAME} cannot be loaded: {fault}. {remedy}")
        self.version = version
        self.fault = fault


class NoChampionError(ExplainedError, RuntimeError):
    """No version carries the champion alias.

    Parameters
    ----------
    why : str, optional
        How the champion was lost and the remedy, when the history has it.
    """

    def __init__(self, why: str | None = None) -> None:
        super().__init__(
            why
            or f"No version of {MODEL_NAME} is the champion yet. Materialize "
            "champion_model and the assets before it first (job `train`), or run `movierec run`."
        )


class OtherDatasetError(ExplainedError, RuntimeError):
    """The champion was trained on another dataset than the one in the tables."""


class PromotionError(ExplainedError, RuntimeError):
    """The champion cannot be changed as asked."""


class PromotionBusyError(PromotionError):
    """Somebody else is changing the champion."""

    def __init__(self, waited: float) -> None:
        super().__init__(f"Another promotion or rollback is under way, for more than {waited:g} s. Try again.")
