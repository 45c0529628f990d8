"""From a forecast and a shop's numbers to stock, advertising and risk; pure functions."""

from ml.decisions.decision import decide
from ml.decisions.economics import Defaults, Economics

__all__ = ["Defaults", "Economics", "decide"]
