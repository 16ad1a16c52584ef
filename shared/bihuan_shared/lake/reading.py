"""Files of a lake as one dataset."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileSystem

PARTITIONS: Final = pa.schema([("date", pa.date32()), ("hour", pa.int8())])


def open_dataset(files: FileSystem, dataset: str, paths: Sequence[str], schema: pa.Schema) -> ds.FileSystemDataset:
    """The files at some paths, under a schema to which the partitions are added; no file is opened yet."""
    options = ds.FileSystemFactoryOptions(
        partition_base_dir=dataset, partitioning=ds.partitioning(PARTITIONS, flavor="hive")
    )
    factory = ds.FileSystemDatasetFactory(files, list(paths), ds.ParquetFileFormat(), options)
    return factory.finish(pa.schema([*schema, *PARTITIONS]))
