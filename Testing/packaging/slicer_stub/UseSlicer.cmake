# What an extension gets from Slicer's use file: install folders, the macro that builds a scripted module, tests.

set(EXTENSION_NAME "${PROJECT_NAME}")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
include(CTest)

# Each script and resource is copied to the same relative path below the build tree's qt-scripted-modules; a path that
# leaves the module's folder leaves that one, too, and an absolute one goes below it with its whole path. A script
# without the ending "py" gets one. Then the whole build folder is installed, whatever has been put there.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(STUB "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(STUB_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords: ${STUB_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT STUB_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()

  set(stub_folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(stub_copies)
  foreach(stub_kind SCRIPTS RESOURCES)
    foreach(stub_file IN LISTS STUB_${stub_kind})
      get_filename_component(stub_ending "${stub_file}" EXT)
      if(stub_kind STREQUAL "SCRIPTS" AND NOT stub_ending MATCHES "py")
        set(stub_file "${stub_file}.py")
      endif()
      get_filename_component(stub_source "${stub_file}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
      if(NOT EXISTS "${stub_source}")
        message(FATAL_ERROR "slicerMacroBuildScriptedModule(${stub_kind}): no file \"${stub_file}\"")
      endif()
      add_custom_command(
        OUTPUT "${stub_folder}/${stub_file}"
        COMMAND ${CMAKE_COMMAND} -E copy "${stub_source}" "${stub_folder}/${stub_file}"
        DEPENDS "${stub_source}"
        COMMENT "Copying ${stub_file}"
        VERBATIM
        )
      list(APPEND stub_copies "${stub_folder}/${stub_file}")
    endforeach()
  endforeach()
  add_custom_target(Copy${STUB_NAME}PythonFiles ALL DEPENDS ${stub_copies})
  install(DIRECTORY "${stub_folder}/"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS
    )
  if(BUILD_TESTING AND STUB_WITH_GENERIC_TESTS)
    add_test(NAME py_nomainwindow_qSlicer${STUB_NAME}ModuleGenericTest COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --version)
  endif()
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(STUB_TEST "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${STUB_TEST_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest: no file \"${STUB_TEST_SCRIPT}\"")
  endif()
  get_filename_component(stub_test_name "${STUB_TEST_SCRIPT}" NAME_WE)
  add_test(NAME py_${STUB_TEST_TESTNAME_PREFIX}${stub_test_name}
    COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --no-splash --python-code "${stub_test_name}"
    )
endmacro()
