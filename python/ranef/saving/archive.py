"""The container of a saved fit: a zip file that knows whether it was changed.

The zip's comment, the last 64 bytes of the file, is the SHA-256 of all bytes before it. Its first member,
``manifest.json``, names the format, its version and every other member with size and SHA-256. Nothing of the content is
read before all of these agree.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

from ranef import _engine
from ranef.errors import SavedFitError

__all__ = ["FORMAT", "MOST_BYTES", "VERSION", "packed", "unpacked"]

FORMAT = "ranef fit"
#: Raised whenever a file of a newer ranef could not be read by an older one.
VERSION = 1
#: What a file may unpack to unless the caller allows more.
MOST_BYTES = 4 * 2**30

_MANIFEST = "manifest.json"
_NAME = re.compile(r"fit\.json|arrays/[0-9]{1,6}\.npy")
_DIGEST = 64
# Nothing in the file tells when it was written: the same fit gives the same bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def packed(members: Mapping[str, bytes]) -> bytes:
    """The bytes of a file with these members."""
    listed = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()}
    manifest = {"format": FORMAT, "version": VERSION, "ranef": _engine.__version__, "members": listed}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"0" * _DIGEST
        for name, data in {_MANIFEST: json.dumps(manifest, indent=1).encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), data, zipfile.ZIP_DEFLATED)
    content = file.getvalue()[:-_DIGEST]
    return content + hashlib.sha256(content).hexdigest().encode()


def unpacked(content: bytes, most: int = MOST_BYTES) -> dict[str, bytes]:
    """The members of a file, checked.

    Parameters
    ----------
    content : bytes
    most : int
        Bytes that the members may have together.

    Raises
    ------
    SavedFitError
        When these are not the bytes that `packed` gave.
    """
    if not content.startswith(b"PK"):
        raise SavedFitError("it is not a file that fit.save(path) wrote")
    if content[-_DIGEST:] != hashlib.sha256(content[:-_DIGEST]).hexdigest().encode():
        raise SavedFitError(
            "it is not a file that fit.save(path) wrote, or was changed or cut since: its checksum does not hold. "
            "Take another copy, or save the fit again"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _members(archive, most)
    except SavedFitError:
        raise
    except Exception as error:
        # zipfile raises half a dozen kinds of exceptions at what is no zip file.
        raise SavedFitError(f"it cannot be read as a zip file ({error})") from error


def _members(archive: zipfile.ZipFile, most: int) -> dict[str, bytes]:
    found = archive.infolist()
    names = [entry.filename for entry in found]
    if _MANIFEST not in names:
        raise SavedFitError(f"it has no {_MANIFEST}: it is a zip file of something else")
    total = sum(entry.file_size for entry in found)
    if total > most:
        raise SavedFitError(
            f"it unpacks to {total:,} bytes, more than max_bytes={most:,}; if it comes from a source that you trust, "
            f"rf.load(path, max_bytes={total})"
        )
    if any(
        entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in found
    ):
        raise SavedFitError("it has members that are encrypted or compressed in another way than by deflate")
    manifest = _manifest(archive.read(_MANIFEST))
    listed: dict[str, Any] = manifest["members"]
    if sorted(names) != sorted([_MANIFEST, *listed]):
        odd = sorted({name for name in {*names, *listed} - {_MANIFEST} if (name in listed) != (name in names)})
        raise SavedFitError(f"its members are not those of its manifest ({', '.join(odd[:3]) or 'one comes twice'})")
    members = {}
    for name, card in listed.items():
        if not _NAME.fullmatch(name):
            raise SavedFitError(f"it has a member {name!r}, which saved fits of version {VERSION} do not have")
        data = archive.read(name)
        if len(data) != card["size"] or hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise SavedFitError(f"its member {name} was changed since: its checksum does not hold")
        members[name] = data
    if "fit.json" not in members:
        raise SavedFitError("it has no fit.json")
    return members


def _manifest(content: bytes) -> dict[str, Any]:
    manifest = json.loads(content)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise SavedFitError("its manifest is not that of a saved fit")
    version = manifest.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SavedFitError(f"its version is {version!r}, not a number of a format")
    if version > VERSION:
        raise SavedFitError(
            f"it was saved by ranef {manifest.get('ranef')} in version {version} of the format, and ranef "
            f"{_engine.__version__} reads versions up to {VERSION}: install that release or a newer one"
        )
    if not isinstance(manifest.get("members"), dict):
        raise SavedFitError("its manifest names no members")
    return manifest
