"""The case folder (schema 1): one volume with its segmentation and routing; see docs/case_format.md."""

from .case_check import Finding, check_case
from .case_reader import Case, open_case
from .case_writer import check_target, label_of, write_case

__all__ = ["Case", "Finding", "check_case", "check_target", "label_of", "open_case", "write_case"]
