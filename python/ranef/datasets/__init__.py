"""Example data: small published data sets, each with its dictionary.

`load_dataset` gives the table as a data frame, `list_datasets` says what there is, and `describe_dataset` tells
what the columns of one data set mean, where it was published and under which terms it is passed on. A data set is
two files in `tables/`: the values (`<name>.csv` or `<name>.csv.gz`) and the dictionary (`<name>.json`).
"""

from ranef.datasets.dictionary import Column, Dictionary, describe_dataset
from ranef.datasets.loading import list_datasets, load_dataset

__all__ = ["Column", "Dictionary", "describe_dataset", "list_datasets", "load_dataset"]
