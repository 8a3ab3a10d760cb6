"""A fit as a file."""

from __future__ import annotations

import os
from typing import Any, Self

from ranef.arguments import path_of
from ranef.saving.record import content_of
from ranef.session.answers import Answers


class Saved(Answers):
    """Writing a fit to a file that `ranef.load` reads."""

    def save(self, path: str | os.PathLike[str], *, columns: str = "all") -> None:
        """Write the fit to one file, from which `ranef.load` makes it again.

        The file is a zip of JSON and arrays (docs/reference/saved-files.md): the data of the rows used, the model and
        what the search found, with checksums. It holds no pickle; opening it runs no code. What is at `path` is
        replaced once the new file is whole.

        Parameters
        ----------
        path : str or path
            ``"owls.ranef"``, say; the ending is yours to choose.
        columns : {"all", "used"}
            Which columns of the data are kept: all of them, so that the fit can be updated with any, or those that the
            model uses.

        Raises
        ------
        SavedFitError
            When something of the fit has no place in a file; the text says what.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import ranef as rf
        >>> fit = rf.glmm("incidence / size ~ period + (1 | herd)", rf.load_dataset("cbpp"), family="binomial",
        ...               weights="size")
        >>> path = Path(tempfile.mkdtemp()) / "cbpp.ranef"
        >>> fit.save(path)
        >>> rf.load(path).fixef() == fit.fixef()
        True
        """
        content = content_of(self, columns)
        target = path_of(path, "save()")
        beside = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            beside.write_bytes(content)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def __copy__(self) -> Self:
        # A fit never changes.
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self
