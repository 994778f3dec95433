"""Set-up: what is installed, installing it with consent, the worker's Python, the device test, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.logic import keys
from DeferredSegSlicerLib.logic.pip_install import SetUpError
from DeferredSegSlicerLib.logic.pytorch_extension import ExtensionMissingError
from DeferredSegSlicerLib.worker.protocol import Error, Hello, SelfTest
from fakes import MemoryServices, QuietLogic, QuietSetUp, ScriptedUser
from panel_fixtures import *  # noqa: F403
from panel_fixtures import settle


@pytest.fixture
def lacking(a_panel: Any, set_up: QuietSetUp) -> Any:
    """The panel of a Slicer without torch."""
    del set_up.installed["torch"]
    a_panel.setup.look()
    a_panel.refresh()
    return a_panel


def test_with_everything_there_the_section_stays_closed(a_panel: Any) -> None:
    assert a_panel.ui.setupCollapsibleButton.collapsed
    assert a_panel.ui.setupLabel.text == "Everything is installed."
    assert not a_panel.ui.installButton.enabled and "installed" in a_panel.ui.installButton.toolTip


def test_with_something_missing_it_opens_and_names_it(lacking: Any) -> None:
    assert not lacking.ui.setupCollapsibleButton.collapsed
    assert "torch" in lacking.ui.setupLabel.text
    table = lacking.ui.packagesTable
    assert [table.item(0, column).text() for column in range(4)] == ["torch", "2.1 or newer", "\u2013", "missing"]
    assert lacking.ui.installButton.enabled


def test_a_worker_is_started_on_entering_only_if_it_can_run(
    a_host: Any, logic: QuietLogic, services: Any, user: Any, set_up: QuietSetUp
) -> None:
    from DeferredSegSlicerLib.ui.panel import Panel

    del set_up.installed["torch"]
    panel = Panel(a_host, logic, services, user, set_up)  # type: ignore[arg-type]
    panel.enter()
    assert logic.named("start_worker") == []
    panel.cleanup()


def test_nothing_is_installed_without_consent(lacking: Any, user: ScriptedUser, set_up: QuietSetUp) -> None:
    user.answers["consent"] = False
    lacking.ui.installButton.click()
    assert set_up.calls == [] and "torch>=2.1" in user.asked[0][1][1]


def test_installing_stops_the_worker_and_starts_it_anew(
    lacking: Any, user: ScriptedUser, set_up: QuietSetUp, logic: QuietLogic
) -> None:
    user.answers["consent"] = True
    logic.calls.clear()
    lacking.ui.installButton.click()
    settle()
    assert set_up.calls == ["install"]
    assert [name for name, _, _ in logic.calls] == ["stop_worker", "start_worker"]
    assert lacking.ui.setupLabel.text == "Everything is installed." and "Installed" in lacking.ui.deviceLabel.text


def test_a_failed_installation_is_told_and_can_be_tried_again(
    lacking: Any, user: ScriptedUser, set_up: QuietSetUp, logic: QuietLogic
) -> None:
    user.answers["consent"] = True
    set_up.error = SetUpError("pip could not reach the package index")
    lacking.ui.installButton.click()
    settle()
    assert user.asked[-1][0] == "failure" and "package index" in user.asked[-1][1][1]
    assert lacking.ui.installButton.enabled


def test_the_pytorch_extension_is_installed_with_a_consent_of_its_own(
    lacking: Any, user: ScriptedUser, set_up: QuietSetUp
) -> None:
    user.answers["consent"] = True
    set_up.error = ExtensionMissingError("the extension is needed")
    lacking.ui.installButton.click()
    settle()
    assert set_up.calls == ["install", "install_pytorch_extension"]
    assert len([a for a in user.asked if a[0] == "consent"]) == 2
    assert "Restart" in lacking.ui.deviceLabel.text


def test_an_installation_cut_off_by_a_restart_goes_on_if_the_user_wants(
    a_host: Any, logic: QuietLogic, services: Any, user: ScriptedUser, set_up: QuietSetUp
) -> None:
    from DeferredSegSlicerLib.ui.panel import Panel

    for answer, calls in ((False, ["forget_resume"]), (True, ["install"])):
        set_up.calls.clear()
        set_up.resume = True
        user.answers["consent"] = answer
        panel = Panel(a_host, logic, services, user, set_up)  # type: ignore[arg-type]
        panel.enter()
        assert set_up.calls == calls
        panel.cleanup()


def test_an_offline_folder_is_kept_and_used(
    a_panel: Any, user: ScriptedUser, set_up: QuietSetUp, services: MemoryServices
) -> None:
    user.answers |= {"folder": str(services.folder), "consent": True}
    a_panel.ui.chooseOfflineButton.click()
    settle()
    assert a_panel.ui.offlineEdit.text == str(services.folder) and a_panel.ui.installButton.enabled
    a_panel.ui.installButton.click()
    assert set_up.calls == [f"install_offline {services.folder}"]
    a_panel.ui.resetOfflineButton.click()
    settle()
    assert a_panel.ui.offlineEdit.text == "none"


def test_a_folder_without_wheels_or_models_is_refused(
    a_panel: Any, user: ScriptedUser, services: MemoryServices
) -> None:
    user.answers["folder"] = str(services.folder / "nothing")
    a_panel.ui.chooseOfflineButton.click()
    settle()
    assert "neither wheels nor models" in a_panel.ui.deviceLabel.text and a_panel.ui.offlineEdit.text == "none"


def test_another_python_restarts_the_worker_and_is_shown(
    a_panel: Any, user: ScriptedUser, set_up: QuietSetUp, services: MemoryServices, logic: QuietLogic
) -> None:
    user.answers["file"] = "/opt/cuda/bin/python"
    logic.calls.clear()
    set_up.python, set_up.is_own_python = "/opt/cuda/bin/python", False
    a_panel.ui.chooseInterpreterButton.click()
    settle()
    assert services.settings[keys.PYTHON] == "/opt/cuda/bin/python"
    assert [name for name, _, _ in logic.calls] == ["stop_worker", "start_worker"]
    assert a_panel.ui.interpreterEdit.text == "/opt/cuda/bin/python"
    assert "another Python" in a_panel.ui.setupLabel.text and a_panel.ui.packagesTable.isHidden()
    set_up.python, set_up.is_own_python = "/slicer/bin/PythonSlicer", True
    a_panel.ui.resetInterpreterButton.click()
    settle()
    assert services.settings[keys.PYTHON] == "" and a_panel.ui.interpreterEdit.text == "Slicer's own"


def test_test_device_starts_a_worker_and_tells_what_it_found(a_panel: Any, logic: QuietLogic) -> None:
    logic.calls.clear()
    a_panel.ui.testDeviceButton.click()
    settle()
    assert [name for name, _, _ in logic.calls] == ["stop_worker", "start_worker"]
    assert not a_panel.ui.testDeviceButton.enabled
    logic.greet(Hello({"torch": "2.9.0"}, "cuda", SelfTest(False, "no kernel image for sm_120", 0.1), 1))
    settle()
    assert "does not work" in a_panel.ui.deviceLabel.text and "sm_120" in a_panel.ui.deviceLabel.text
    assert a_panel.ui.testDeviceButton.enabled


def test_a_device_test_that_fails_is_told_there_and_in_no_window(
    a_panel: Any, logic: QuietLogic, user: ScriptedUser
) -> None:
    a_panel.ui.testDeviceButton.click()
    logic.failed.emit(Error(None, "not_started", "The worker could not be started.", "Choose the interpreter again."))
    settle()
    assert "could not be started" in a_panel.ui.deviceLabel.text and user.asked == []
    assert a_panel.ui.testDeviceButton.enabled


def test_versions_are_copied(a_panel: Any, user: ScriptedUser, logic: QuietLogic) -> None:
    logic.greet()
    a_panel.ui.copyVersionsButton.click()
    settle()
    assert "worker cpu" in user.clipboard and "clipboard" in a_panel.ui.deviceLabel.text


def test_the_folder_of_cases_can_be_moved(a_panel: Any, user: ScriptedUser, services: MemoryServices) -> None:
    user.answers["folder"] = "/archive/cases"
    a_panel.ui.chooseCasesButton.click()
    settle()
    assert Path(a_panel.ui.casesEdit.text) == Path("/archive/cases") == services.cases_folder()
    a_panel.ui.resetCasesButton.click()
    settle()
    assert services.cases_folder() == services.folder / "cases"
