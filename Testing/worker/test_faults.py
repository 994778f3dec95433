"""Whatever a job raises becomes one sentence with advice."""

from __future__ import annotations

import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError, DeviceError
from DeferredSegSlicerLib.worker.faults import explain


def _raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInputError("box lies outside the volume"), "bad_input"),
        (DeviceError("no usable GPU was found"), "device"),
        (DamagedCaseError("case.json was changed"), "damaged_case"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (_raised_from(DeviceError("cuda ran out of memory"), torch.OutOfMemoryError("x")), "out_of_memory"),
        (_raised_from(BadInputError("cannot be read"), MemoryError()), "out_of_memory"),
        (ModuleNotFoundError("No module named 'monai'", name="monai.nets"), "missing_packages"),
        (KeyError("features"), "internal"),
        (ZeroDivisionError("division by zero"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_exception_has_a_code_and_a_sentence(error: Exception, code: str) -> None:
    told = explain(error, "j", "cuda", "/logs/worker.log")
    assert (told.job, told.code, told.log) == ("j", code, "/logs/worker.log")
    assert "\n" not in told.message and "Traceback" not in told.message
    if isinstance(error, BadInputError) and error.__cause__ is None:
        assert told.message == "box lies outside the volume"


def test_a_gpu_without_memory_offers_the_cpu_and_a_cpu_does_not() -> None:
    full = torch.OutOfMemoryError("CUDA out of memory")
    assert "CPU as device" in explain(full, "j", "auto", None).advice
    assert "smaller part" in explain(full, "j", "cpu", None).advice


def test_a_missing_package_is_named() -> None:
    told = explain(ModuleNotFoundError("No module named 'monai'", name="monai.nets"), "j", "cpu", None)
    assert told.packages == ("monai",) and "monai" in told.message


def test_an_unexpected_error_is_in_the_log_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        {}["features"]
    except KeyError as error:
        told = explain(error, "j", "cpu", "/logs/worker.log")
    assert "KeyError" in told.message and "log file" in told.message
    assert "Traceback" in caplog.text and "features" in caplog.text
