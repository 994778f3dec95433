"""Data sets for training and evaluation, each as it unpacks; `docs/datasets.md` shows the folders.

`open_dataset` lists a folder without reading an image; `Subject.load` reads one. Splits are by patient.
"""

from .base import SPLITS, Dataset, LoadedCase, LoadedSlice, Reading, Split, Subject
from .kinds import DATASETS, open_dataset
from .slices import slices_of

__all__ = [
    "DATASETS",
    "SPLITS",
    "Dataset",
    "LoadedCase",
    "LoadedSlice",
    "Reading",
    "Split",
    "Subject",
    "open_dataset",
    "slices_of",
]
