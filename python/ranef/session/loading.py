"""Saved fits, opened again."""

from __future__ import annotations

import os

from ranef.arguments import held_to_its_types, path_of
from ranef.errors import SavedFitError
from ranef.families import Family
from ranef.saving.archive import MOST_BYTES
from ranef.saving.record import fields_of
from ranef.session.fit import Fit


@held_to_its_types
def load(
    path: str | os.PathLike[str],
    *,
    family: Family | None = None,
    refit: bool = False,
    max_bytes: int = MOST_BYTES,
) -> Fit:
    """Open a fit that `Fit.save` wrote.

    Nothing in the file is run. The fit answers as the one that was saved, to the last digit where the release and the
    machine are the same; it is not searched for again.

    Parameters
    ----------
    path : str or path
    family : Family, optional
        Of a fit with a family of your own (`families.custom`), that family, made as it was: a file has no functions.
    refit : bool
        Whether the model is fitted again to the data in the file.
    max_bytes : int
        The most that the file may unpack to; a larger one is refused before it is unpacked.

    Returns
    -------
    Fit

    Raises
    ------
    SavedFitError
        When it is not a file that `Fit.save` wrote, was changed or cut since, or is of a newer release.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> path = Path(tempfile.mkdtemp()) / "sleep.ranef"
    >>> fit.save(path)
    >>> rf.load(path).loglik == fit.loglik
    True
    """
    content = path_of(path, "load()").read_bytes()
    try:
        return Fit(**fields_of(content, max_bytes, family, refit))
    except SavedFitError as error:
        raise SavedFitError(f"{os.fspath(path)}: {error}.") from error.__cause__
