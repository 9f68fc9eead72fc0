"""Models of remaining useful life, by name. Adding one: a file with a class, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from analytics.rul.model import Estimate, RulModel
from analytics.rul.spindle import SpindleModel
from analytics.rul.tool import ToolModel

MODELS: Final[Mapping[str, Callable[[], RulModel]]] = {"tool": ToolModel, "spindle": SpindleModel}

__all__ = ["MODELS", "Estimate", "RulModel"]
