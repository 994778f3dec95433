"""Names under which settings are kept on the user's computer."""

from __future__ import annotations

CASES_FOLDER = "DeferredSegSlicer/CasesFolder"
MODELS_FOLDER = "DeferredSegSlicer/ModelsFolder"
PYTHON = "DeferredSegSlicer/Python"
RESUME_INSTALL = "DeferredSegSlicer/ResumeInstall"
