# cmake --install: the command line, both libraries, headers, a CMake package, a pkg-config module,
# manual pages, completion and documentation. Components: Runtime (what running a program takes) and
# Development (what building one takes). Every path is relative to the prefix, so that the tree may
# be moved; what was given as an absolute GNUInstallDirs path stays one.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/wavefield)
set(made ${PROJECT_BINARY_DIR}/install)

# ---- what a static link needs ----
# Read off wavefield_dependencies, which the rooms fill: for pkg-config as flags, for CMake as
# modules and packages to find and as link items.

# A library by its path becomes -lNAME, with its folder where no linker would look by itself.
function(wf_library_flags path flags)
  get_filename_component(folder ${path} DIRECTORY)
  get_filename_component(name ${path} NAME)
  set(${flags} ${path} PARENT_SCOPE)
  if(name MATCHES "^lib(.+)(\\.so|\\.a|\\.dylib)$")
    set(found -l${CMAKE_MATCH_1})
    if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
      list(PREPEND found -L${folder})
    endif()
    set(${flags} ${found} PARENT_SCOPE)
  endif()
endfunction()

set(pc_libraries "")    # flags
set(package_items "")   # what the imported target wavefield::static links
set(package_modules "") # modules of pkg-config
set(package_finds "")   # packages of find_package()
function(wf_translate target)
  get_target_property(items ${target} INTERFACE_LINK_LIBRARIES)
  get_target_property(options ${target} INTERFACE_LINK_OPTIONS)
  foreach(item IN LISTS items options)
    set(flags "")
    set(link "")
    string(REGEX REPLACE "^PkgConfig::" "" module "${item}")
    if(NOT item OR item MATCHES "^::@")  # nothing, or CMake's mark of a folder
      continue()
    elseif(NOT module STREQUAL item)
      set(flags ${${module}_STATIC_LDFLAGS})
      list(APPEND package_modules ${${module}_MODULE_NAME})
      set(link PkgConfig::wavefield_${${module}_MODULE_NAME})
    elseif(item STREQUAL Threads::Threads)
      set(flags -pthread)
      list(APPEND package_finds Threads)
      set(link ${item})
    elseif(item STREQUAL OpenMP::OpenMP_C)
      set(flags ${OpenMP_C_FLAGS})  # the driver knows its runtime, in C and in C++
    elseif(TARGET ${item})
      get_target_property(imported ${item} IMPORTED)
      if(imported)
        message(FATAL_ERROR "cmake/Install.cmake does not know how a static link finds ${item}")
      endif()
      wf_translate(${item})
    elseif(IS_ABSOLUTE ${item})
      wf_library_flags(${item} flags)
    elseif(item MATCHES "^-")
      set(flags ${item})
    else()
      set(flags -l${item})
    endif()
    if(NOT link)
      set(link ${flags})
    endif()
    list(APPEND pc_libraries ${flags})
    list(APPEND package_items ${link})
  endforeach()
  foreach(list pc_libraries package_items package_modules package_finds)
    set(${list} "${${list}}" PARENT_SCOPE)
  endforeach()
endfunction()
wf_translate(wavefield_dependencies)
foreach(item IN LISTS package_items)
  string(REPLACE "," "$<COMMA>" item "${item}")  # -fsanitize=address,undefined
  target_link_libraries(wavefield_static PRIVATE $<INSTALL_INTERFACE:${item}>)
endforeach()

# ---- programs, libraries, headers ----
install(TARGETS wavefield_cli RUNTIME COMPONENT Runtime)
foreach(library shared static)
  install(TARGETS wavefield_${library} EXPORT wavefield-${library}
    RUNTIME COMPONENT Runtime
    LIBRARY COMPONENT Runtime NAMELINK_COMPONENT Development
    ARCHIVE COMPONENT Development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT wavefield-${library} NAMESPACE wavefield:: DESTINATION ${package_folder}
          COMPONENT Development)
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/wavefield
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Development FILES_MATCHING PATTERN *.h)

# ---- the CMake package ----
set(compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
endif()
write_basic_package_version_file(${made}/wavefield-config-version.cmake
                                 COMPATIBILITY ${compatibility})
set(archive ${CMAKE_STATIC_LIBRARY_PREFIX}wavefield${CMAKE_STATIC_LIBRARY_SUFFIX})
list(REMOVE_DUPLICATES package_modules)
list(REMOVE_DUPLICATES package_finds)
configure_file(${PROJECT_SOURCE_DIR}/cmake/wavefield-config.cmake.in
               ${made}/wavefield-config.cmake @ONLY)
install(FILES ${made}/wavefield-config.cmake ${made}/wavefield-config-version.cmake
        DESTINATION ${package_folder} COMPONENT Development)

# ---- the pkg-config module ----
# The prefix is where the .pc file lies, as far up as its folder is below the prefix.
file(RELATIVE_PATH pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
set(pc_prefix "\${pcfiledir}/${pc_prefix}")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
endif()
foreach(kind LIB INCLUDE)
  set(pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(pc_${kind} "${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()
list(JOIN pc_libraries " " pc_libraries)
configure_file(${PROJECT_SOURCE_DIR}/cmake/wavefield.pc.in ${made}/wavefield.pc @ONLY)
install(FILES ${made}/wavefield.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT Development)

# ---- documentation ----
if(TARGET wavefield_manual)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/manual/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          COMPONENT Runtime FILES_MATCHING PATTERN *.1 PATTERN bash EXCLUDE)
  install(FILES ${PROJECT_BINARY_DIR}/manual/bash/wavefield COMPONENT Runtime
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Runtime)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/examples
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Development
        FILES_MATCHING PATTERN *.md PATTERN *.svg PATTERN *.png PATTERN *.c PATTERN *.py
        PATTERN __pycache__ EXCLUDE)
