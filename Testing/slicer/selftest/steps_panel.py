"""Steps: the module is there, its panel opens, the sample is offered, Try it makes it ready to click."""

from __future__ import annotations

from contextlib import suppress
from xml.etree import ElementTree

import numpy as np
import slicer
import slicer.util

from .access import MODULE, logic, panel, widget
from .stepper import Skipped, require
from .waiting import live, wait_for
from .walk import Walk

WANTED = {"liver", "spleen", "right kidney"}


def module_is_loaded(walk: Walk) -> str:
    """Slicer knows the module and shows its panel."""
    require(hasattr(slicer.modules, MODULE.lower()), f"module {MODULE} is not loaded; see Slicer's log above for why")
    module = getattr(slicer.modules, MODULE.lower())
    require(not module.icon.isNull(), "the module has no icon")
    if slicer.util.mainWindow() is None:
        widget()
        return f"{module.path} (no main window)"
    slicer.util.selectModule(MODULE)
    wait_for(lambda: slicer.util.selectedModule() == MODULE and widget().parent.visible, "the panel", 30)
    live(0.5)
    return str(module.path)


def keep_files_apart(walk: Walk) -> str:
    """Cases go into the walk's folder, not into the user's."""
    from DeferredSegSlicerLib.logic import keys

    services = panel().context.services
    before = services.setting(keys.CASES_FOLDER)
    services.set_setting(keys.CASES_FOLDER, str(walk.folder / "cases"))
    walk.afterwards(lambda: services.set_setting(keys.CASES_FOLDER, before))
    return str(services.cases_folder())


def panel_has_its_widgets(walk: Walk) -> str:
    """Every widget of the .ui file can be found by its name."""
    from DeferredSegSlicerLib.resources import find_resources

    form = ElementTree.parse(find_resources() / "UI" / f"{MODULE}.ui")
    names = [w.get("name") for w in form.getroot().iter("widget")]
    missing = [name for name in names if not hasattr(panel().ui, str(name))]
    require(not missing, f"not in the panel: {', '.join(map(str, missing))}")
    ui = panel().ui
    require(ui.segmentButton.text and ui.addBoxButton.text, "buttons have no text")
    disabled = [ui.segmentButton, ui.addBoxButton, ui.fromSegmentButton, ui.installButton, ui.testDeviceButton]
    silent = [button.name for button in disabled if not button.enabled and not button.toolTip]
    require(not silent, f"disabled without a reason in the tool tip: {', '.join(silent)}")
    return f"{len(names)} widgets"


def sample_is_registered(walk: Walk) -> str:
    """The Sample Data module offers the bundled CT with a picture and loads it."""
    import SampleData
    from DeferredSegSlicerLib.ui.sample_source import CATEGORY, SAMPLE_NAME

    sources = [s for s in slicer.modules.sampleDataSources.get(CATEGORY, []) if s.sampleName == SAMPLE_NAME]
    require(len(sources) == 1, f"{len(sources)} samples {SAMPLE_NAME} are registered, expected one")
    (source,) = sources
    require(source.thumbnailFileName, "the sample has no picture")
    loaded = SampleData.SampleDataLogic().downloadFromSource(source)
    require(loaded and hasattr(loaded[0], "GetImageData"), f"loading the sample gave {loaded}")
    image = slicer.util.arrayFromVolume(loaded[0])
    require(image.shape == (112, 101, 122) and image.dtype == np.int16, f"it is {image.dtype} {image.shape}")
    slicer.mrmlScene.RemoveNode(loaded[0])
    live(0.2)
    return source.sampleName


def try_it(walk: Walk) -> str:
    """The link loads the sample, chooses it and places its boxes."""

    def ready() -> bool:
        return logic().state.volume is not None and len(logic().state.prompts) == 3

    how = "by its link"
    with suppress(AttributeError, TypeError, ValueError):  # whether a signal can be sent from Python is Slicer's affair
        panel().ui.tryItLabel.linkActivated("try-it")
    live(1.0)
    if not ready():
        how = "by the panel's function, as the link cannot be clicked from here"
        panel().try_it()
    wait_for(ready, "the sample's boxes", 60)
    live(0.3)
    walk.volume = logic().state.volume
    shown = panel().ui.volumeSelector.currentNode()
    require(shown is not None and shown.GetID() == walk.volume.GetID(), "the selector shows another volume")
    return f"{walk.volume.GetName()}, {how}"


def structures_are_there(walk: Walk) -> str:
    """Three rows, three boxes in the views, terminology, and a button that can be clicked."""
    if walk.volume is None:
        raise Skipped("the sample is not loaded")
    state, ui = logic().state, panel().ui
    require({entry.name for entry in state.prompts} == WANTED, f"structures are {[e.name for e in state.prompts]}")
    require(ui.structuresTable.rowCount == 3, f"the table has {ui.structuresTable.rowCount} rows, expected 3")
    bounds = [0.0] * 6
    walk.volume.GetRASBounds(bounds)
    for entry in state.prompts:
        roi = slicer.mrmlScene.GetNodeByID(entry.node_id)
        require(roi is not None and roi.IsA("vtkMRMLMarkupsROINode"), f"{entry.name} has no box")
        require(roi.GetDisplayNode() is not None and roi.GetDisplayNode().GetVisibility(), f"{entry.name} is not shown")
        center = roi.GetCenterWorld()
        inside = all(bounds[2 * a] <= center[a] <= bounds[2 * a + 1] for a in range(3))
        require(inside, f"the box of {entry.name} is centered outside the volume")
        require("SCT" in entry.terminology.to_slicer(), f"{entry.name} has no code")
    return "liver, spleen, right kidney"
