"""How an ensemble is stored: its members and calibrations, each under its own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Calibration
from ml.models.base import Servable, State

Stored = Mapping[str, "NDArray[np.generic] | str"]


def ensemble_state(members: Sequence[Servable], calibrations: Mapping[str, Calibration]) -> State:
    """Names of the members, and the states of members and calibrations."""
    state: State = {"members": np.array([member.name for member in members], dtype=np.str_)}
    for member in members:
        state |= {f"member/{member.name}/{key}": value for key, value in member.state().items()}
    for label, calibration in calibrations.items():
        state |= {f"calibration/{label}/{key}": value for key, value in calibration.state().items()}
    return state


def members_of(state: Stored, known: Sequence[type[Servable]]) -> tuple[Servable, ...]:
    """The members in their order.

    Raises:
        KeyError: A member is not one of `known`.
    """
    classes = {member.name: member for member in known}
    names = [str(name) for name in np.asarray(state["members"])]
    return tuple(classes[name].from_state(section(state, f"member/{name}/")) for name in names)


def calibration_of(state: Stored, label: str) -> Calibration:
    """The calibration of that name."""
    return Calibration.from_state(section(state, f"calibration/{label}/"))


def section(state: Stored, prefix: str) -> State:
    """The entries below a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
