"""Model bundles: archives that carry a trained model, its calibration and its record, and no code.

A bundle is an uncompressed tar of `manifest.json`, arrays (`.npy`, never pickled) and texts (`.txt`).
Names are sorted and every time and owner in the archive is zero, so the same data and the same code
give the same bytes wherever and whenever they are packed. Its sha256 is its name.
"""

import hashlib
import io
import json
import math
import re
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ml.calibration import Calibration
from ml.dependence import Dependence
from ml.distribution import Prediction
from ml.errors import BundleRefused
from ml.features import CategoryTotals
from ml.history import History
from ml.models import CANDIDATES
from ml.models.base import Servable
from ml.month_record import MonthRecord
from ml.response import Response
from ml.track_record import TrackRecord

FORMAT = 1
MAX_BYTES = 512 * 1024 * 1024
MANIFEST = "manifest.json"
SECTIONS = ("calibration", "model", "months", "record")
CRITICAL = "critical"
CARD = "card"
"""Name of the model card in the section `record`, where releases without one pass over it."""
SBOM = "sbom"
"""Name of the bill of materials beside it, see `ml.sbom`."""
PLANNED = "planned"
QUALITY_OVERRIDE = "quality_override"

State = Mapping[str, NDArray[Any] | str]

_MEMBER = re.compile(rf"({'|'.join(SECTIONS)})(/[A-Za-z0-9_][A-Za-z0-9_.-]*){{1,4}}\.(npy|txt)")
_PLAIN_KINDS = "bifuUM"  # bool, integer, float, text, date: kinds that need no pickle
_Month = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]


class Manifest(BaseModel):
    """What a model is and what it was made from; nothing of when, where or by whom.

    `risk_cuts` are the two values of cost at risk over margin that part Low, Medium and High;
    they are frozen here so that a product's class does not move when other products change. `planned` says that
    the model was made with a plan; a release that knows nothing of plans must not use it, so it is critical then.
    `quality_override` is the reason of the person who let it learn from data that failed the quality gate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    candidate: str
    family: str
    features: tuple[str, ...]
    first_month: _Month
    last_month: _Month
    target_month: _Month
    products: int = Field(ge=1)
    data_version: str
    data_digest: str
    code_commit: str
    metrics: dict[str, FiniteFloat | None]
    calibration_id: str
    risk_cuts: tuple[FiniteFloat, FiniteFloat]
    seed: int
    planned: bool = False
    quality_override: str | None = None


@dataclass(frozen=True)
class Predictor:
    """A fitted model and its calibration, used as one by training, serving and drift."""

    model: Servable
    calibration: Calibration

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Calibrated demand of the month after the history's last one, in units, one row per product."""
        return self.calibration.apply(history, self.model.predict(history, categories))

    @property
    def response(self) -> Response | None:
        """What the model, or the first of its members that looks at plans, learned of their effects."""
        parts = (self.model, *getattr(self.model, "members", ()))
        found = (getattr(part, "response", None) for part in parts)
        return next((each for each in found if isinstance(each, Response)), None)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was checked and read; releases without them left `card` and `sbom` empty, `dependence` None."""

    sha256: str
    manifest: Manifest
    predictor: Predictor
    record: TrackRecord
    months: MonthRecord
    card: str = ""
    sbom: str = ""
    dependence: Dependence | None = None


def pack(manifest: Manifest, *, model: State, calibration: State, record: State, months: State) -> bytes:
    """The bundle's bytes: a function of its arguments only.

    Args:
        manifest: What the model is.
        model: State of the fitted model.
        calibration: State of its `Calibration`.
        record: State of its `TrackRecord`, and as texts the model card under `CARD`, its materials under `SBOM`.
        months: State of its `MonthRecord`, and perhaps that of its `Dependence`.

    Raises:
        TypeError: An array holds Python objects, which could be stored by pickle only.
    """
    files = members(manifest, model=model, calibration=calibration, record=record, months=months)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            _check_name(name)
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def members(
    manifest: Manifest, *, model: State, calibration: State, record: State, months: State
) -> dict[str, bytes]:
    """Content by name of the files that `pack` puts into the archive; it takes the same arguments."""
    found = {MANIFEST: _canonical_json(manifest)}
    for section, state in zip(SECTIONS, (calibration, model, months, record), strict=True):
        for name, value in state.items():
            suffix, data = _encoded(value)
            found[f"{section}/{name}.{suffix}"] = data
    return found


def state_digest(state: State) -> str:
    """sha256 of names and values, a name for one part of a bundle."""
    digest = hashlib.sha256()
    for name in sorted(state):
        suffix, data = _encoded(state[name])
        digest.update(f"{name}.{suffix}:{len(data)}:".encode() + data)
    return digest.hexdigest()


def unpack(data: bytes, expected_sha256: str) -> Bundle:
    """The model in the bytes, checked against the digest that a release names.

    Raises:
        BundleRefused: The digest differs, or the archive is larger, newer or other than `pack` writes.
    """
    if len(data) > MAX_BYTES:
        raise BundleRefused(f"bundle of {len(data)} bytes is larger than the {MAX_BYTES} allowed")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != expected_sha256:
        raise BundleRefused(
            f"bundle has sha256 {sha256}, the release names {expected_sha256}; do not serve it"
        )
    try:
        return _read(data, sha256)
    except BundleRefused:
        raise
    except Exception as error:  # whatever a broken archive trips up, it must not be served
        raise BundleRefused(f"bundle {sha256[:12]} cannot be read: {error}; train it again") from error


def _read(data: bytes, sha256: str) -> Bundle:
    files = dict(_archived(data))
    manifest = _manifest(files.pop(MANIFEST, b""))
    states: dict[str, dict[str, NDArray[Any] | str]] = {section: {} for section in SECTIONS}
    for name, content in files.items():
        section, _, key = name.rpartition(".")[0].partition("/")
        states[section][key] = _decoded(name, content)
    if manifest.candidate not in CANDIDATES:
        raise BundleRefused(
            f"bundle {sha256[:12]} holds {manifest.candidate!r}, this code has {sorted(CANDIDATES)}"
        )
    model = CANDIDATES[manifest.candidate].from_state(states["model"])
    predictor = Predictor(model, Calibration.from_state(states["calibration"]))
    card, sbom = (str(states["record"].pop(name, "")) for name in (CARD, SBOM))
    record, months = TrackRecord.from_state(states["record"]), MonthRecord.from_state(states["months"])
    dependence = Dependence.from_state(states["months"])
    return Bundle(sha256, manifest, predictor, record, months, card, sbom, dependence)


def _archived(data: bytes) -> Iterator[tuple[str, bytes]]:
    previous = ""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            if info.type != tarfile.REGTYPE:
                raise BundleRefused(f"bundle member {info.name!r} is not a plain file")
            _check_name(info.name)
            if info.name <= previous:
                raise BundleRefused(f"bundle member {info.name!r} is out of order or there twice")
            previous = info.name
            content = archive.extractfile(info)
            if content is None:  # pragma: no cover - a plain file always has content
                raise BundleRefused(f"bundle member {info.name!r} is empty")
            yield info.name, content.read()


def _check_name(name: str) -> None:
    if name != MANIFEST and not _MEMBER.fullmatch(name):
        raise BundleRefused(
            f"bundle member {name!r} is not one of {MANIFEST} and {'|'.join(SECTIONS)}/NAME.npy|txt"
        )


def _manifest(content: bytes) -> Manifest:
    fields = json.loads(content)
    found = fields.get("format") if isinstance(fields, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BundleRefused(
            f"bundle format {found} is newer than {FORMAT}, the newest this code reads; update it"
        )
    refuse_critical(fields, Manifest.model_fields)
    known = {name: value for name, value in fields.items() if name in Manifest.model_fields}
    return Manifest.model_validate(known)


def refuse_critical(fields: Mapping[str, Any], understood: Collection[str]) -> None:
    """Fields that this release does not know are passed over, unless the writer says that they must not be.

    A newer release that adds a field without which the rest would be used wrongly names it in `critical`.

    Raises:
        BundleRefused: A critical field is not understood here, or `critical` is no list of names.
    """
    critical = fields.get(CRITICAL, [])
    if not isinstance(critical, list) or not all(isinstance(name, str) for name in critical):
        raise BundleRefused(f"{CRITICAL!r} is no list of names but {critical!r:.80}; make it again")
    if unknown := sorted(set(critical) - set(understood)):
        raise BundleRefused(f"field {unknown[0]!r} is critical and unknown to this code; use a newer release")


def _canonical_json(manifest: Manifest) -> bytes:
    # A bundle without an override has the bytes of one from before there were any.
    unsaid = {QUALITY_OVERRIDE} if manifest.quality_override is None else None
    fields = manifest.model_dump(mode="json", exclude=unsaid)
    if fields.pop(PLANNED):
        fields |= {PLANNED: True, CRITICAL: [PLANNED]}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _encoded(value: NDArray[Any] | str) -> tuple[str, bytes]:
    if isinstance(value, str):
        return "txt", value.encode()
    if value.dtype.kind not in _PLAIN_KINDS:
        raise TypeError(f"array of {value.dtype} cannot be stored without pickle")
    buffer = io.BytesIO()
    little_endian = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
    np.lib.format.write_array(buffer, little_endian, version=(1, 0), allow_pickle=False)
    return "npy", buffer.getvalue()


def _decoded(name: str, content: bytes) -> NDArray[Any] | str:
    return content.decode() if name.endswith(".txt") else _array(name, content)


def _array(name: str, content: bytes) -> NDArray[Any]:
    """Read without `np.load`: a header that claims another size than its bytes allocates nothing."""
    buffer = io.BytesIO(content)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise BundleRefused(f"bundle member {name!r} is an array of an unknown format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(buffer)
    body = content[buffer.tell() :]
    if dtype.kind not in _PLAIN_KINDS or math.prod(shape) * dtype.itemsize != len(body):
        raise BundleRefused(f"bundle member {name!r} holds {len(body)} bytes for {shape} of {dtype}")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C").copy()
