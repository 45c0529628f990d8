"""From a forecast and a shop's numbers to stock, advertising and risk; pure functions."""

from ml.decisions.decision import AdHistory, decide
from ml.decisions.economics import Defaults, Economics

__all__ = ["AdHistory", "Defaults", "Economics", "decide"]
