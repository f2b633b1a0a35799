"""The version that a challenger has to beat, and whether its files can be read.

Belongs here: the answer that training, evaluation and promotion share. Does not: finding the version in the history
(`decision_history`), the rule (`recsys.promotion`).
"""

from __future__ import annotations

from dataclasses import dataclass

from movierec_assets.models.decision_history import History
from movierec_assets.models.registry import ModelRegistry
from movierec_assets.models.version import LearningProblem, Version


@dataclass(frozen=True)
class Incumbent:
    """The last champion of a learning problem that was not rolled back, deleted or lost.

    Attributes
    ----------
    found : Version or None
        None when there is no such version.
    fault : str or None
        What is wrong with its files, without a full stop; None when it loads.
    """

    found: Version | None
    fault: str | None

    @classmethod
    def of(
        cls, registry: ModelRegistry, history: History, champion: Version | None, problem: LearningProblem
    ) -> Incumbent:
        """Find the version in the history and the registry, and load it once."""
        found = history.incumbent(champion, problem)
        return cls(found, None if found is None else registry.fault_of(found))

    @property
    def version(self) -> Version | None:
        """The version to compare with; None when there is none, or it does not load."""
        return self.found if self.fault is None else None

    @property
    def why_unusable(self) -> str | None:
        """Why the version that was found cannot be compared with, without a full stop; None when it can."""
        if self.found is None or self.fault is None:
            return None
        return f"version {self.found.number} cannot be loaded: {self.fault}"
