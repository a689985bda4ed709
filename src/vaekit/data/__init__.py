"""Read files and arrays into data sets, describe them by a schema, and write results to files.

>>> from vaekit.data import Schema, read, split_indices
>>> digits = read("digits")
>>> digits.kind, digits.values.shape, digits.values.dtype
('images', (1797, 1, 8, 8), dtype('float32'))
>>> split = split_indices(len(digits), seed=0)
>>> schema = Schema.fit(digits.take(split.train), scaling="unit")
>>> schema.transform(digits.values).shape, schema.log_jacobian
((1797, 1, 8, 8), 0.0)
"""

from vaekit.data.column_summary import Column
from vaekit.data.condition_columns import Condition
from vaekit.data.conditions import ConditionSchema
from vaekit.data.dataset import Dataset
from vaekit.data.objects import from_object
from vaekit.data.output_files import write_text
from vaekit.data.reading import read
from vaekit.data.restoring import restore_array, restore_table
from vaekit.data.schema import Schema
from vaekit.data.split import Parts, Split, partition, split_indices
from vaekit.data.streams import stream
from vaekit.data.writers import write

__all__ = [
    "Column",
    "Condition",
    "ConditionSchema",
    "Dataset",
    "Parts",
    "Schema",
    "Split",
    "from_object",
    "partition",
    "read",
    "restore_array",
    "restore_table",
    "split_indices",
    "stream",
    "write",
    "write_text",
]
