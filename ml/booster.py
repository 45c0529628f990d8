"""LightGBM's own library by its C interface: to predict, nothing of its Python package is imported.

That package wants scipy, and takes pandas and scikit-learn where it finds them: 115 MB of an image and most of the
time that a service took to start. Functions and constants are those of `LightGBM/c_api.h`.
"""

import weakref
from ctypes import CDLL, POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FLOAT64: Final = 1
_ROW_MAJOR: Final = 1
_NORMAL: Final = 0
_ALL_ITERATIONS: Final = -1
_ONE_THREAD: Final = b"num_threads=1"  # two threads on a busy machine of two cores are 16 times slower


class Booster:
    """A fitted model from LightGBM's text; it predicts the bits that LightGBM's Python package does.

    Raises:
        ValueError: The text is not a model.
    """

    def __init__(self, text: str) -> None:
        self._library, self._handle = _library(), c_void_p()
        self._call("LGBM_BoosterLoadModelFromString", text.encode(), byref(c_int()), byref(self._handle))
        weakref.finalize(self, self._library.LGBM_BoosterFree, self._handle)
        columns = c_int()
        self._call("LGBM_BoosterGetNumFeature", self._handle, byref(columns))
        self.columns = columns.value

    def predict(self, rows: Floats) -> Floats:
        """(n,) predictions for (n, columns) features, on one thread.

        Raises:
            ValueError: The rows have another number of columns than the model learned from.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.columns:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"rows of shape {rows.shape}, the model learned from {self.columns} columns")
        made, count = np.empty(len(rows)), c_int64()
        self._call(
            "LGBM_BoosterPredictForMat",
            self._handle,
            rows.ctypes.data_as(c_void_p),
            _FLOAT64,
            c_int32(rows.shape[0]),
            c_int32(rows.shape[1]),
            _ROW_MAJOR,
            _NORMAL,
            0,
            _ALL_ITERATIONS,
            _ONE_THREAD,
            byref(count),
            made.ctypes.data_as(POINTER(c_double)),
        )
        if count.value != len(made):
            raise ValueError(f"the model gave {count.value} predictions for {len(made)} rows")
        return made

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            message = self._library.LGBM_GetLastError().decode(errors="replace")
            raise ValueError(f"{name}: {message}")


@cache
def _library() -> CDLL:
    spec = find_spec("lightgbm")  # finds the package and runs nothing of it
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("lightgbm is not installed")
    library = CDLL(str(Path(spec.submodule_search_locations[0], "lib", "lib_lightgbm.so")))
    library.LGBM_GetLastError.restype = c_char_p
    return library
