"""Whatever happens to a saved fit is found before anything in it is used, and told by one kind of error."""

import contextlib
import hashlib
import io
import json
import pickletools
import re
import zipfile

import numpy as np
import pytest

import ranef as rf
from models import owls, sleepstudy
from ranef.saving.archive import VERSION, packed, unpacked
from ranef.saving.arrays import array_of, npy
from ranef.saving.record import content_of, fields_of

# Random bytes that are taken for a saved fit by chance would need a collision of SHA-256.
CORRUPTIONS = 1000


@pytest.fixture(scope="module")
def content():
    return content_of(sleepstudy())


@pytest.fixture
def load(tmp_path):
    """Loads bytes as a file."""

    def load(content):
        path = tmp_path / "saved.ranef"
        path.write_bytes(content)
        return rf.load(path)

    return load


def resealed(content):
    """A file with the checksum that its bytes now have."""
    body = content[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def rewritten(members, manifest=lambda card: card, names=lambda names: names, compression=zipfile.ZIP_DEFLATED):
    """A file of other members whose checksum holds."""
    listed = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    card = manifest({"format": "ranef fit", "version": VERSION, "ranef": "0", "members": listed})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.comment = b"0" * 64
        archive.writestr("manifest.json", json.dumps(card))
        for name in names(list(members)):
            archive.writestr(name, members[name])
    return resealed(file.getvalue())


def corrupted(content, rng):
    """A file after something happened to it."""
    data = bytearray(content)
    kind = rng.integers(8)
    at = int(rng.integers(len(data)))
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data = data[:at]
    elif kind == 2:
        data += rng.bytes(int(rng.integers(1, 100)))
    elif kind == 3:
        del data[at : at + int(rng.integers(1, 50))]
    elif kind == 4:
        data[at : at + 20] = rng.bytes(len(data[at : at + 20]))
    elif kind == 5:
        data[at:at] = rng.bytes(int(rng.integers(1, 20)))
    elif kind == 6:
        # Somewhere in the directory of the zip file.
        directory = content.rindex(b"PK\x01\x02")
        data[int(rng.integers(directory, len(data)))] ^= int(rng.integers(1, 256))
    else:
        other = int(rng.integers(len(data)))
        data[at], data[other] = data[other], data[at]
    return bytes(data)


def test_every_corruption_is_found(content, load):
    rng = np.random.default_rng(20261128)
    tried = 0
    while tried < CORRUPTIONS:
        broken = corrupted(content, rng)
        if broken == content:
            continue
        tried += 1
        with pytest.raises(rf.SavedFitError):
            load(broken)


def test_a_corruption_with_a_checksum_that_holds_raises_the_same_error(content, load):
    # Whoever makes a file on purpose can make its checksum too: then the zip file and its content are read, and either
    # nothing that counts was changed (a date, say) or the error is ranef's own.
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        try:
            fit = load(resealed(corrupted(content, rng)))
        except rf.SavedFitError:
            refused += 1
        else:
            assert fit.loglik == sleepstudy().loglik
    assert refused > 130


def test_swapped_members_are_found(content, load):
    members = unpacked(content)
    swapped = {**members, "arrays/0.npy": members["arrays/1.npy"], "arrays/1.npy": members["arrays/0.npy"]}
    own = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    with pytest.raises(rf.SavedFitError, match="changed"):
        load(rewritten(swapped, lambda card: card | {"members": own}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card | {"version": VERSION + 1, "ranef": "9.9"}, "saved by ranef 9.9 in version 2"),
        (lambda card: card | {"version": "1"}, "version is '1'"),
        (lambda card: card | {"format": "parquet"}, "not that of a saved fit"),
        (lambda card: {k: v for k, v in card.items() if k != "members"}, "names no members"),
        (lambda card: card | {"members": {}}, "not those of its manifest"),
        (lambda card: [], "not that of a saved fit"),
    ],
)
def test_manifests_of_other_files(content, load, change, message):
    with pytest.raises(rf.SavedFitError, match=message):
        load(rewritten(unpacked(content), change))


def test_unknown_members_are_refused(content, load):
    members = unpacked(content)
    with pytest.raises(rf.SavedFitError, match=r"member 'code\.py'"):
        load(rewritten({**members, "code.py": b"print()"}))
    with pytest.raises(rf.SavedFitError, match=r"arrays/99\.npy, which its fit\.json does not speak of"):
        load(rewritten({**members, "arrays/99.npy": npy(np.zeros(2))}))
    with pytest.raises(rf.SavedFitError, match="not those of its manifest"):
        load(rewritten(members, names=lambda names: names[:-1]))


def test_members_that_come_twice_are_refused(content, load):
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rewritten(unpacked(content), names=lambda names: [*names, names[0]])
    with pytest.raises(rf.SavedFitError, match="one comes twice"):
        load(twice)


def test_foreign_files_are_refused(load):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    for foreign in (b"", b"PK", b"y,x\n1,2\n", b"\x80\x04K*.", file.getvalue()):
        with pytest.raises(rf.SavedFitError, match=r"not a file that fit\.save"):
            load(foreign)
    with pytest.raises(rf.SavedFitError, match="zip file of something else"):
        load(resealed(file.getvalue() + b"0" * 64))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(content, tmp_path):
    bomb = rewritten({**unpacked(content), "arrays/99.npy": bytes(50_000_000)})
    assert len(bomb) < 100_000
    path = tmp_path / "bomb.ranef"
    path.write_bytes(bomb)
    with pytest.raises(rf.SavedFitError, match="more than max_bytes=1,000,000"):
        rf.load(path, max_bytes=1_000_000)


def test_a_member_larger_than_it_says_is_refused(content, load):
    # The size in the directory of the zip file is what the limit is compared with: no more than that is read.
    data = bytearray(rewritten({**unpacked(content), "arrays/99.npy": bytes(1000)}))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rindex(signature)
        data[at + offset : at + offset + 4] = (10).to_bytes(4, "little")
    with pytest.raises(rf.SavedFitError):
        load(resealed(bytes(data)))


def test_members_in_another_compression_are_refused(content, load):
    with pytest.raises(rf.SavedFitError, match="by deflate"):
        load(rewritten(unpacked(content), compression=zipfile.ZIP_BZIP2))


def test_the_file_holds_json_and_arrays_of_numbers_alone(content):
    members = unpacked(content_of(owls()))
    json.loads(members.pop("fit.json"))
    for name, data in members.items():
        assert re.fullmatch(r"arrays/\d+\.npy", name)
        assert np.load(io.BytesIO(data), allow_pickle=False).dtype.kind in "biufMm"
        with pytest.raises(ValueError, match=r"opcode|pickle"):  # no member is the text of a pickle
            list(pickletools.genops(data))


def test_loading_needs_no_pickle(content, load, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", refuse)
    assert load(content).loglik == sleepstudy().loglik


def test_arrays_of_objects_are_neither_written_nor_read():
    with pytest.raises(rf.SavedFitError, match="object"):
        npy(np.array([None, "x"], dtype=object))
    file = io.BytesIO()
    np.save(file, np.array([None, "x"], dtype=object), allow_pickle=True)
    with pytest.raises(rf.SavedFitError, match="holds object"):
        array_of(file.getvalue(), "arrays/0.npy")


@pytest.mark.parametrize("shape", [(10**12,), (3, 10**9), (2,), (4,)])
def test_an_array_s_header_cannot_reserve_more_than_is_there(shape):
    content = npy(np.zeros(3)).replace(b"(3,),", f"{shape},".encode())
    with pytest.raises(rf.SavedFitError):
        array_of(content, "arrays/0.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([np.nan, np.inf, -0.0, 5e-324]),
        np.array([True, False]),
        np.array(["2026-11-28"], dtype="M8[D]"),
        np.zeros((0, 4)),
        np.float32(3.5).reshape(()),
    ],
)
def test_arrays_return_as_they_were(array):
    found = array_of(npy(array), "arrays/0.npy")
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes("A") == array.tobytes("A")
    assert found.flags.writeable


def mutated(value, rng, depth=0):
    """A JSON value with one leaf or branch replaced."""
    others = [None, True, -1, 10**30, 0.5, "nan", [], {}, {"is": "mapping", "items": []}, {"is": "array", "number": 0}]
    if isinstance(value, dict) and value and (depth == 0 or rng.random() < 0.9):
        key = list(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: mutated(value[key], rng, depth + 1)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = int(rng.integers(len(value)))
        return [*value[:at], mutated(value[at], rng, depth + 1), *value[at + 1 :]]
    return others[int(rng.integers(len(others)))]


@pytest.mark.filterwarnings("ignore")
def test_any_other_content_raises_the_same_error_or_is_the_same_fit():
    # Sound checksums and another content: written by something else, or by someone who means harm.
    members = unpacked(content_of(owls()))
    card = json.loads(members["fit.json"])
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(200):
        changed = packed({**members, "fit.json": json.dumps(mutated(card, rng)).encode()})
        try:
            fields_of(changed, 10**9)
        except rf.SavedFitError:
            refused += 1
    assert refused > 130


def first_column(card):
    return card["data"]["columns"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card["data"].update(backend="ibis"), "its data are a ibis frame, which this version"),
        (lambda card: card["data"]["columns"].append(first_column(card)), "two columns of one name"),
        (lambda card: card["data"].update(rows=598), "columns that are not 598 rows long"),
        (lambda card: first_column(card).update(kind="sparse"), "a column of the kind 'sparse'"),
        (lambda card: first_column(card).update(codes=99), r"it has no arrays/99\.npy"),
        (lambda card: card.update(rows={"is": "rows"}), "its content is not that of a saved fit"),
        (lambda card: card.update(response=13), "its response has 7 values for 599 rows"),
        (lambda card: card.update(family={"is": "law"}), "a value of the kind 'law', which this version"),
        (lambda card: card["arguments"].update(formula="SiblingNegotiation ~ Nests"), "no column `Nests`"),
        (lambda card: card["arguments"].update(zi="~ 1", quadrature=7, reml=True), "is not one that this version"),
        (lambda card: card["probes"]["items"][0][1].reverse(), "understands its parameters differently .beta."),
    ],
)
def test_another_content_is_told_by_what_is_wrong_with_it(change, message):
    members = unpacked(content_of(owls()))
    card = json.loads(members["fit.json"])
    change(card)
    with pytest.raises(rf.SavedFitError, match=message):
        fields_of(packed({**members, "fit.json": json.dumps(card).encode()}), 10**9)


def test_a_file_without_its_heart_is_refused(content, load):
    members = unpacked(content)
    del members["fit.json"]
    with pytest.raises(rf.SavedFitError, match=r"it has no fit\.json"):
        load(rewritten(members))


@pytest.mark.filterwarnings("ignore")
def test_any_other_array_raises_the_same_error_or_is_read():
    members = unpacked(content_of(owls()))
    rng = np.random.default_rng(12)
    names = [name for name in members if name != "fit.json"]
    for _ in range(150):
        name = names[int(rng.integers(len(names)))]
        array = array_of(members[name], name)
        choices = [array[:-1], array.astype(np.float32), np.zeros(3), np.zeros((2, 2)), array * np.nan, -array - 7]
        with np.errstate(all="ignore"):
            other = np.asarray(choices[int(rng.integers(len(choices)))] if array.dtype.kind == "f" else array[:-1])
        with contextlib.suppress(rf.SavedFitError):
            fields_of(packed({**members, name: npy(other)}), 10**9)


def test_the_same_fit_gives_the_same_bytes(content):
    assert content_of(sleepstudy()) == content


def test_the_file_is_not_larger_than_the_data(content):
    # 180 rows of three columns and a fit with 42 parameters and modes.
    assert len(content) < 12_000
