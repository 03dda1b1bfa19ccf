# Installs BUILD as a packager does, under DESTDIR, then moves the tree to PREFIX: what works there
# depends on no path of the build or of the install.
get_filename_component(work "${PREFIX}" DIRECTORY)
set(stage "${work}/staging root")
file(REMOVE_RECURSE "${work}")
set(ENV{DESTDIR} "${stage}")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --prefix "/opt/wave field"
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME "${stage}/opt/wave field" "${PREFIX}")
file(GLOB_RECURSE left "${stage}/*")
if(left)
  message(FATAL_ERROR "installed outside of the prefix: ${left}")
endif()
