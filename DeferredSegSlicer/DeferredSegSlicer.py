"""The Slicer module: what Slicer loads. DeferredSegSlicerLib does everything, and is imported when it is needed."""

import sys

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

LIBRARY = "DeferredSegSlicerLib"


class DeferredSegSlicer(ScriptedLoadableModule):
    """Title, category, help and icon, and the sample for the Sample Data module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        from DeferredSegSlicerLib.resources import find_resources

        parent.title = _("Deferred Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = [_("DeferredSegSlicer contributors")]
        parent.icon = qt.QIcon(str(find_resources() / "Icons" / "DeferredSegSlicer.png"))
        parent.helpText = _(
            "Segments structures in CT and MR from box prompts. Voxel by voxel it decides whether the model's label "
            "stands or which human expert should look, and shows what is deferred in one color per expert. "
            "A budget sets how much is deferred, without running the network again.<br><br>"
            "<b>Research use only. Not a medical device; not for diagnosis or treatment.</b> Every label needs "
            "a reader's judgment: the network can be confidently wrong, and such voxels are not deferred."
        )
        parent.acknowledgementText = _(
            "The deferral follows Tian Q. et al., DeferredSeg, Pattern Recognition 182:114811, 2026. The network is "
            "LiteMedSAM (Ma J. et al., Nature Communications 15:654, 2024). The sample CT comes from TotalSegmentator "
            "(Wasserthal J. et al., Radiology: Artificial Intelligence, 2023). Licenses are beside the files."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Put the bundled CT into the Sample Data module."""
    from DeferredSegSlicerLib.ui import sample_source

    sample_source.register()


class DeferredSegSlicerWidget(ScriptedLoadableModuleWidget):
    """Puts the panel into the module panel, and takes it away."""

    def __init__(self, parent=None):
        self.logic = None
        self.panel = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from DeferredSegSlicerLib.ui.panel import Panel

        self.logic = DeferredSegSlicerLogic()
        self.panel = Panel(self.parent, self.logic.module, self.logic.services, review=self.logic.review)
        if getattr(self.parent, "isEntered", False) is True:  # reloaded while it is in front
            self.panel.enter()

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """End the worker and take every observer and shortcut back; a second call changes nothing."""
        panel, logic, self.panel, self.logic = self.panel, self.logic, None, None
        try:
            if panel is not None:
                panel.cleanup()
        finally:  # whatever is gone already while Slicer ends, the worker must end, too
            if logic is not None:
                logic.close()

    def onReload(self):
        """Read the library anew too: Slicer's own reload knows of this file alone."""
        self.cleanup()
        for name in [name for name in sys.modules if name == LIBRARY or name.startswith(f"{LIBRARY}.")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class DeferredSegSlicerLogic(ScriptedLoadableModuleLogic):
    """The module for scripts, without a widget; see DeferredSegSlicerLib.logic, of which `module` and `review` are."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleLogic.__init__(self, parent)
        from DeferredSegSlicerLib.logic.assembly import assemble
        from DeferredSegSlicerLib.logic.desktop import DesktopServices

        self.services = DesktopServices()
        software = {"slicer": slicer.app.applicationVersion}
        self.module, self.review = assemble(slicer.mrmlScene, self.services, software)

    def segment(self, volumeNode, structures=None, experts=None, budget=None, progress=None, wait=True, **options):
        """Segment with deferral and show the result; `options`: bundle, device, method, caseFolder.

        Structures are (name, ROI node) pairs, library structures or rows of the panel's table (those of the panel if
        left out). Returns the shown case, or the job's id without `wait`. Raises an error with a sentence for the user.
        """
        options = {{"caseFolder": "case_folder"}.get(name, name): value for name, value in options.items()}
        return self.module.segment(volumeNode, structures, experts, budget, progress=progress, wait=wait, **options)

    def openCase(self, folder, volumeNode=None, wait=True):
        """Open a case folder on the volume that it was made from, or with its own scan."""
        return self.module.open_case(folder, volumeNode, wait=wait)

    def cancel(self):
        """Give the running job up."""
        self.module.cancel()

    def setBudget(self, share):
        """Defer another share (0..1) of the decision zone; no network is run."""
        self.module.set_budget(share)

    def setOffDuty(self, expertIds):
        """Say which experts are not there."""
        self.module.set_off_duty(expertIds)

    def close(self):
        """End review and worker and take all observers back."""
        self.review.close()
        self.module.close()


class DeferredSegSlicerTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer: sample, boxes, places; and a whole segmentation if the packages for it are installed."""

    def runTest(self):
        from DeferredSegSlicerLib.ui import self_test

        logic = DeferredSegSlicerLogic()
        try:
            self_test.run(slicer.mrmlScene, logic, self.delayDisplay)
        finally:
            logic.close()
