# An install into a folder with spaces in its name, moved after it was made, and what its users do
# with it (consumer/check.sh).
if(NOT WAVEFIELD_INSTALL OR NOT UNIX)
  return()
endif()
foreach(kind BIN LIB INCLUDE DOC MAN DATA)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    message(STATUS "No tests of the install: CMAKE_INSTALL_${kind}DIR is absolute, cannot be moved")
    return()
  endif()
endforeach()
include(CheckLanguage)
check_language(CXX)

set(work "${CMAKE_CURRENT_BINARY_DIR}/installed by a test")
set(prefix "${work}/moved prefix")
add_test(NAME install COMMAND ${CMAKE_COMMAND} "-DBUILD=${PROJECT_BINARY_DIR}" "-DPREFIX=${prefix}"
         -P ${CMAKE_CURRENT_SOURCE_DIR}/consumer/stage.cmake)
set_tests_properties(install PROPERTIES FIXTURES_SETUP installed)

set(flags ${CMAKE_C_FLAGS})
if(WAVEFIELD_SANITIZE)
  string(APPEND flags " -fsanitize=${WAVEFIELD_SANITIZE}")
endif()
set(environment
  "PREFIX=${prefix}" "LIB=${prefix}/${CMAKE_INSTALL_LIBDIR}"
  "INCLUDE=${prefix}/${CMAKE_INSTALL_INCLUDEDIR}" "BIN=${prefix}/${CMAKE_INSTALL_BINDIR}"
  "DOC=${prefix}/${CMAKE_INSTALL_DOCDIR}" "MAN=${prefix}/${CMAKE_INSTALL_MANDIR}"
  "DATA=${prefix}/${CMAKE_INSTALL_DATADIR}" "WORK=${work}"
  "SOURCE=${CMAKE_CURRENT_SOURCE_DIR}/consumer" "INTERNAL=$<TARGET_FILE:wavefield_internal>"
  "REDUCED=${WAVEFIELD_REDUCED}" "MANUAL=$<IF:$<TARGET_EXISTS:wavefield_manual>,TRUE,FALSE>"
  "BUILD=${PROJECT_BINARY_DIR}" "ABI=${WAVEFIELD_ABI}"
  "CMAKE=${CMAKE_COMMAND}" "GENERATOR=${CMAKE_GENERATOR}"
  "CC=${CMAKE_C_COMPILER}" "CXX=$<$<BOOL:${CMAKE_CXX_COMPILER}>:${CMAKE_CXX_COMPILER}>"
  "NM=${CMAKE_NM}" "PKG_CONFIG=${PKG_CONFIG_EXECUTABLE}" "FLAGS=${flags}"
  OMP_WAIT_POLICY=passive)
foreach(case layout cmake-shared cmake-static cmake-alone subproject pkg-config pkg-config-static headers
        symbols-shared symbols-static names)
  add_test(NAME install_${case} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/consumer/check.sh ${case})
  set_tests_properties(install_${case} PROPERTIES
    FIXTURES_REQUIRED installed SKIP_RETURN_CODE 77 ENVIRONMENT "${environment}")
endforeach()
