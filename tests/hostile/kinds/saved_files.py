"""Files of saved fits after something happened to them, by accident (the checksum tells) or on purpose (it holds)."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ranef as rf
from hostile_values import ROWS, Attempted, plain_fits, plain_frame, require
from ranef.saving.archive import VERSION, packed, unpacked
from ranef.saving.arrays import array_of, npy
from ranef.saving.record import content_of

VALUES = (
    None, True, False, -1, 0, 1, 10**30, 0.5, "nan", "", "x", [], {}, [0], {"is": "mapping", "items": []},
    {"is": "array", "number": 0}, {"is": "nonsense"}, "y ~ x", "__import__('os')", {"is": "array", "number": 10**9},
    [[]], {"is": "prior", "text": "x"}, -(2**63), "\ud800", "é", [None] * 3, {"is": "tuple", "items": [1]},
)  # fmt: skip
NAMES = (
    "../fit.json",
    "/etc/passwd",
    "arrays/../fit.json",
    "fit.json/",
    "arrays/-1.npy",
    "manifest.json",
    "a" * 300,
)


@functools.cache
def contents() -> tuple[bytes, ...]:
    """The bytes of saved fits, of several kinds of models and data."""
    dated = plain_frame().assign(
        f=pd.Categorical(plain_frame()["f"]), when=pd.date_range("2020-01-01", periods=ROWS), w=np.linspace(1, 2, ROWS)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = rf.lmm("y ~ f + s(x, k = 4) + (1 | g)", dated, weights="w", contrasts={"f": "sum"})
        assumed = rf.glmm(
            "n ~ x + (1 | g)", dated, family="nbinom2", priors={"fixed": rf.prior.normal(0, 2)}, fixed={"sd(g)": 0.3}
        )
        return tuple(content_of(fit) for fit in (*plain_fits(), weighted, assumed))


def resealed(content: bytes) -> bytes:
    """A file with the checksum that its bytes now have."""
    body = content[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def damaged(draw: random.Random, content: bytes) -> bytes:
    """A file after an accident."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 3))):
        at = draw.randrange(max(1, len(data)))
        roll = draw.randrange(7)
        if roll == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif roll == 1:
            data = data[:at]
        elif roll == 2:
            data += draw.randbytes(draw.randint(1, 100))
        elif roll == 3:
            del data[at : at + draw.randint(1, 50)]
        elif roll == 4:
            data[at : at + 20] = draw.randbytes(len(data[at : at + 20]))
        elif roll == 5:
            data[at:at] = draw.randbytes(draw.randint(1, 20))
        else:  # in the directory of the zip file
            directory = max(0, data.rfind(b"PK\x01\x02"))
            data[draw.randrange(directory, len(data))] ^= draw.randint(1, 255)
        if len(data) < 70:
            break
    return bytes(data)


def edited(draw: random.Random, value: Any, depth: int = 0) -> Any:
    """A JSON value with one leaf or branch replaced, dropped or moved."""
    if isinstance(value, dict) and value and (depth == 0 or draw.random() < 0.9):
        key = draw.choice(list(value))
        if draw.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: edited(draw, value[key], depth + 1)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        return [*value[:at], edited(draw, value[at], depth + 1), *value[at + 1 :]]
    if isinstance(value, str) and draw.random() < 0.3:
        at = draw.randrange(len(value) + 1)
        return value[:at] + draw.choice(("+", "x", "(", "~", "'", "\x00", "é", " ")) + value[at:]
    if isinstance(value, int | float) and not isinstance(value, bool) and draw.random() < 0.4:
        return draw.choice((value + 1, -value, value * 1e6, value * 0, float(value)))
    return draw.choice(VALUES)


def other_array(draw: random.Random, array: np.ndarray) -> np.ndarray:
    """An array in place of another."""
    choices = [array[:-1], array.astype(np.float32), np.zeros(3), np.zeros((2, 2)), np.ones(array.shape), array[::-1]]
    if array.dtype.kind == "f":
        choices += [array * np.nan, -array - 7, array * 1e300, np.full(array.shape, np.inf), array * 0]
    with np.errstate(all="ignore"):
        return np.asarray(draw.choice(choices))


def archived(members: dict[str, bytes], manifest: dict[str, Any], extra: tuple[str, bytes] | None) -> bytes:
    """A zip file of these members whose checksum holds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"0" * 64
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in (*members.items(), *((extra,) if extra else ())):
            archive.writestr(name, data)
    return resealed(file.getvalue())


def forged(draw: random.Random, content: bytes) -> bytes:
    """A file made on purpose, with checksums that hold."""
    members = unpacked(content)
    roll = draw.random()
    if roll < 0.55:
        card = json.loads(members["fit.json"])
        for _ in range(draw.choice((1, 1, 2))):
            card = edited(draw, card)
        return packed({**members, "fit.json": json.dumps(card).encode()})
    if roll < 0.8:
        name = draw.choice([name for name in members if name != "fit.json"])
        return packed({**members, name: npy(other_array(draw, array_of(members[name], name)))})
    if roll < 0.85:
        name = draw.choice(list(members))
        return packed({**members, name: draw.choice((b"", b"{}", b"[]", b"null", draw.randbytes(50), b"\x93NUMPY"))})
    listed = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    manifest: Any = {"format": "ranef fit", "version": VERSION, "ranef": "0", "members": listed}
    extra = None
    if roll < 0.92:
        name = draw.choice(NAMES)
        extra = (name, draw.choice((b"", b"x", bytes(5_000_000))))
        if draw.random() < 0.5:
            listed[name] = {"size": len(extra[1]), "sha256": hashlib.sha256(extra[1]).hexdigest()}
    else:
        manifest = edited(draw, manifest)
    return archived(members, manifest, extra)


def of_saved_file(draw: random.Random) -> Attempted:
    """A file that is opened, and the fit in it used."""
    place = draw.randrange(len(contents()))
    content = contents()[place]
    how = draw.choice(("damaged", "damaged", "resealed", "forged", "forged", "forged"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = forged(draw, content) if how == "forged" else damaged(draw, content)
    if how == "resealed":
        changed = resealed(changed)
    options = {"max_bytes": draw.choice((1_000_000, 4 * 2**30)), "refit": draw.random() < 0.1}

    def run() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fit.ranef"
            path.write_bytes(changed)
            fit = rf.load(path, **options)
        require(how != "damaged" or changed == content, "a damaged file was opened")
        return repr(fit), fit.tidy("all"), fit.predict(), fit.simulate(1, seed=1), fit.ranef()

    return f"load(contents()[{place}] {how}, **{options!r})", run
