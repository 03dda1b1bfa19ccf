# Only wf_ names leave the libraries.
#
# wavefield_internal   every room with all its names: the command line and the tests link it, nobody
#                      else does, and it is not installed
# wavefield_shared     libwavefield.so (wavefield::wavefield): a version script keeps all else local,
#                      the C++ runtime's templates and static dependencies' names included
# wavefield_static     libwavefield.a (wavefield::static): the rooms linked into one relocatable
#                      object whose other names objcopy makes local. Where the compiler or objcopy
#                      cannot do that, the plain rooms; the summary then says that their names show.
#                      Static dependencies (glslang) stay outside, as link flags of the installed
#                      packages: a program that links them itself would have them twice, and what
#                      is mended in them would not be mended here.

get_property(rooms GLOBAL PROPERTY WAVEFIELD_ROOMS)
set(symbols_folder ${PROJECT_BINARY_DIR}/symbols)

# ---- shared ----
include(CheckLinkerFlag)
set(version_script ${PROJECT_SOURCE_DIR}/cmake/exports.map)
check_linker_flag(C "LINKER:--version-script,${version_script}" WAVEFIELD_HAVE_VERSION_SCRIPT)

# ---- static ----

# What turns an archive into one object: the compiler, so that it finds its own linker.
separate_arguments(compiler_flags UNIX_COMMAND "${CMAKE_C_FLAGS}")
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  list(APPEND compiler_flags ${CMAKE_C_COMPILE_OPTIONS_IPO})
endif()
set(relocatable_link ${CMAKE_C_COMPILER} ${compiler_flags} -r -nostdlib)
# Sections of a group are kept or dropped by the group's name, which must then not become local.
check_linker_flag(C "LINKER:--force-group-allocation" WAVEFIELD_HAVE_FORCE_GROUP_ALLOCATION)
if(WAVEFIELD_HAVE_FORCE_GROUP_ALLOCATION)
  list(APPEND relocatable_link -Wl,--force-group-allocation)
endif()
set(keep_public --wildcard --keep-global-symbol=wf_*)

# Tries both on a small archive, with further options of the compiler; sets `result`.
function(wf_try_reduction result)
  set(${result} FALSE PARENT_SCOPE)
  if(NOT CMAKE_OBJCOPY OR NOT CMAKE_NM OR NOT CMAKE_AR OR NOT UNIX OR APPLE
     OR CMAKE_CONFIGURATION_TYPES)
    return()
  endif()
  set(probe ${symbols_folder}/probe)
  file(WRITE ${probe}.c "int inner(void); int inner(void) { return 1; }
int wf_outer(void); int wf_outer(void) { return inner(); }\n")
  file(REMOVE ${probe}.a)
  foreach(command
      "${CMAKE_C_COMPILER};${compiler_flags};-c;${probe}.c;-o;${probe}.o"
      "${CMAKE_AR};rc;${probe}.a;${probe}.o"
      "${relocatable_link};${ARGN};-Wl,--whole-archive;${probe}.a;-Wl,--no-whole-archive;\
-o;${probe}-all.o"
      "${CMAKE_OBJCOPY};${keep_public};${probe}-all.o;${probe}-public.o"
      "${CMAKE_NM};-g;${probe}-public.o")
    execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE names ERROR_QUIET)
    if(NOT status EQUAL 0)
      return()
    endif()
  endforeach()
  if(names MATCHES "T _?wf_outer" AND NOT names MATCHES "inner")
    set(${result} TRUE PARENT_SCOPE)
  endif()
endfunction()

add_library(wavefield_internal STATIC ${rooms})
wf_try_reduction(WAVEFIELD_REDUCED -flinker-output=nolto-rel)
if(WAVEFIELD_REDUCED)  # GCC: machine code, whatever the objects hold
  list(APPEND relocatable_link -flinker-output=nolto-rel)
else()
  wf_try_reduction(WAVEFIELD_REDUCED)
endif()
if(WAVEFIELD_REDUCED)
  set(public_object ${symbols_folder}/wavefield.o)
  add_custom_command(OUTPUT ${public_object}
    COMMAND ${relocatable_link} -Wl,--whole-archive $<TARGET_FILE:wavefield_internal>
            -Wl,--no-whole-archive -o ${symbols_folder}/all.o
    COMMAND ${CMAKE_OBJCOPY} ${keep_public} ${symbols_folder}/all.o ${public_object}
    COMMAND ${CMAKE_COMMAND} -E rm ${symbols_folder}/all.o
    DEPENDS wavefield_internal COMMENT "Hiding internal names" VERBATIM)
  add_library(wavefield_static STATIC ${public_object})
  set_target_properties(wavefield_static PROPERTIES LINKER_LANGUAGE C)
  wavefield_report("archive" "shows wf_ names only")
else()
  add_library(wavefield_static STATIC ${rooms})
  wavefield_report("archive" "shows internal names too (no objcopy and ld -r that can hide them)")
endif()
add_library(wavefield_shared SHARED ${rooms})
if(WAVEFIELD_HAVE_VERSION_SCRIPT)
  target_link_options(wavefield_shared PRIVATE "LINKER:--version-script,${version_script}")
  set_target_properties(wavefield_shared PROPERTIES LINK_DEPENDS ${version_script})
endif()
