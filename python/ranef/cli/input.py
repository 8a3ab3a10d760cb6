"""Data for the commands: a CSV, TSV, Parquet or Arrow file, or text on standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from ranef.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARROW = (".arrow", ".feather", ".ipc")


def read_data(source: str) -> Any:
    """Read a data frame.

    Parameters
    ----------
    source : str
        Path of a `.csv`, `.tsv` (either may end in `.gz`), `.parquet`, `.arrow` or `.feather` file; `-` reads
        standard input, whose first line tells whether commas or tabs separate.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        If the file is not there, cannot be read, holds no rows, or has a name that does not tell its format.
    """
    import pandas as pd

    path = Path(source)
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    try:
        if source == "-":
            text = sys.stdin.read()
            head = text.split("\n", 1)[0]
            frame = pd.read_csv(io.StringIO(text), sep="\t" if head.count("\t") > head.count(",") else ",")
        elif suffix in SEPARATORS:
            frame = pd.read_csv(path, sep=SEPARATORS[suffix])
        elif suffix == ".parquet":
            frame = pd.read_parquet(path)
        elif suffix in ARROW:
            frame = pd.read_feather(path)
        else:
            known = ", ".join((*SEPARATORS, ".parquet", *ARROW))
            raise DataError(
                f"{source}: the name does not tell the format; known endings are {known} (and .gz for text)"
            )
    except FileNotFoundError:
        raise DataError(f"{source}: there is no such file") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{source}: the file is empty") from None
    except ImportError:
        raise DataError(
            f"{source}: reading {suffix} needs pyarrow, which is not installed: pip install 'ranef[arrow]'"
        ) from None
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: cannot be read: {str(error).splitlines()[0]}") from None
    if frame.empty:
        raise DataError(f"{source}: the table has no rows")
    return frame
