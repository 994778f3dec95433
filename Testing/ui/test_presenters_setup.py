"""Set-up and shortcuts in words."""

from __future__ import annotations

import pytest
from DeferredSegSlicerLib.logic.packages import PackageState, Requirement
from DeferredSegSlicerLib.ui.presenters import setup
from DeferredSegSlicerLib.ui.presenters.shortcuts import SLICER_KEYS, panel_keys

THERE = PackageState(Requirement("torch", "2.1"), "2.9.0+cu126")
OLD = PackageState(Requirement("timm", "1.0"), "0.9")
ABSENT = PackageState(Requirement("monai", "1.3"), None)


@pytest.mark.parametrize(
    ("state", "cells"),
    [
        (THERE, ("torch", "2.1 or newer", "2.9.0+cu126", "installed")),
        (OLD, ("timm", "1.0 or newer", "0.9", "too old")),
        (ABSENT, ("monai", "1.3 or newer", "\u2013", "missing")),
    ],
)
def test_a_package_says_what_is_needed_what_is_there_and_whether_it_fits(
    state: PackageState, cells: tuple[str, ...]
) -> None:
    assert setup.package_cells(state) == cells


def test_the_summary_names_what_must_be_installed() -> None:
    assert setup.summary(True, (THERE, OLD, ABSENT), (), "pip") == "To be installed: timm, monai."
    assert setup.summary(True, (THERE,), (), "pip") == "Everything is installed."


def test_another_python_is_not_judged_but_what_its_worker_lacks_is_said_with_the_command() -> None:
    assert "not looked into" in setup.summary(False, (), (), "pip install x")
    text = setup.summary(False, (), ("torch",), "pip install x")
    assert "torch" in text and "pip install x" in text


def test_install_is_disabled_for_a_reason_and_enabled_for_work() -> None:
    assert setup.install_reason(True, ["torch"], "", "") == ""
    assert "installed" in setup.install_reason(True, [], "", "")
    assert setup.install_reason(True, [], "/wheels", "") == ""
    assert "another Python" in setup.install_reason(False, ["torch"], "", "")
    assert setup.install_reason(True, ["torch"], "", "busy") == "busy"


def test_consent_says_what_is_installed_from_where() -> None:
    assert "internet" in setup.consent(["torch>=2.1"], "") and "torch>=2.1" in setup.consent(["torch>=2.1"], "")
    offline = setup.consent(["torch>=2.1"], "/usb/wheels")
    assert "/usb/wheels" in offline and "internet" not in offline
    assert "models" in setup.consent([], "/usb/wheels")


def test_a_device_that_fails_its_test_is_not_called_working() -> None:
    assert "works" in setup.device_text("cuda", True, "", 0.4, {"torch": "2.9.0"})
    text = setup.device_text("cuda", False, "no kernel image", 0.4, {})
    assert "does not work" in text and "no kernel image" in text


def test_no_shortcut_takes_a_key_from_slicer_or_from_another() -> None:
    keys = [key.keys for key in panel_keys()]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & SLICER_KEYS
    assert all(key.text for key in panel_keys())


def test_no_shortcut_is_a_bare_letter_or_shift_alone_with_one() -> None:
    for key in panel_keys():
        *modifiers, last = key.keys.split("+")
        assert "Ctrl" in modifiers or last == "Esc"
