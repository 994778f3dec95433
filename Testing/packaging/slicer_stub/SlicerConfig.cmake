# Stands in for a Slicer build tree, so that the extension's own CMake files run without one. Written from what
# Slicer 5.13's macros do, not from their text: what is copied where, what is installed from where, what is refused.

set(Slicer_VERSION "5.13")
set(Slicer_REVISION "00000")
set(Slicer_OS "linux")
set(Slicer_ARCHITECTURE "amd64")
set(Slicer_USE_PYTHONQT ON)
set(Slicer_LAUNCHER_EXECUTABLE "${CMAKE_COMMAND}")

set(Slicer_INSTALL_ROOT "./")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.13/qt-scripted-modules")

set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/ExtensionGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/ExtensionCPack.cmake")
