# Compile settings shared by every room, and the configure summary.

add_library(wavefield_settings INTERFACE)  # how our own sources are compiled
add_library(wavefield_dependencies INTERFACE)  # what the finished library links
target_include_directories(wavefield_settings INTERFACE
  ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(wavefield_settings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wvla
                         -Wno-sign-conversion -Wno-unknown-pragmas)
  if(WAVEFIELD_WERROR)
    target_compile_options(wavefield_settings INTERFACE -Werror)
  endif()
endif()
# Unique symbols of C++ templates cannot be made local afterwards (cmake/Symbols.cmake).
target_compile_options(wavefield_settings INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
if(WAVEFIELD_FUZZ)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
  check_c_source_compiles(
    "#include <stddef.h>
    int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return !data && size; }"
    WAVEFIELD_HAVE_LIBFUZZER)
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT WAVEFIELD_HAVE_LIBFUZZER)
    message(FATAL_ERROR "WAVEFIELD_FUZZ needs a compiler with -fsanitize=fuzzer: configure with "
            "CC=clang CXX=clang++ (Debian: clang, libclang-rt-dev), or leave it OFF")
  endif()
  set(WAVEFIELD_SANITIZE fuzzer-no-link,address,undefined)
endif()
if(WAVEFIELD_SANITIZE)
  set(sanitize -fsanitize=${WAVEFIELD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_compile_options(wavefield_settings INTERFACE ${sanitize})
  target_link_options(wavefield_settings INTERFACE ${sanitize})
  target_link_options(wavefield_dependencies INTERFACE ${sanitize})
endif()
target_compile_definitions(wavefield_settings INTERFACE
  _GNU_SOURCE WAVEFIELD_VERSION="${PROJECT_VERSION}")

# wf_room(NAME source…): one room of the library, compiled into both its static and shared form.
# wf_room_objects(TARGET): adds an object library made elsewhere.
function(wf_room_objects target)
  set_property(GLOBAL APPEND PROPERTY WAVEFIELD_ROOMS $<TARGET_OBJECTS:${target}>)
endfunction()
function(wf_room name)
  add_library(wf_${name} OBJECT ${ARGN})
  target_link_libraries(wf_${name} PRIVATE wavefield_settings wavefield_dependencies)
  wf_room_objects(wf_${name})
endfunction()

# wavefield_report(part "text"): a line of the configure summary.
function(wavefield_report part text)
  set_property(GLOBAL APPEND PROPERTY WAVEFIELD_REPORT "${part}|${text}")
endfunction()
function(wavefield_summary)
  get_property(lines GLOBAL PROPERTY WAVEFIELD_REPORT)
  message(STATUS "Wavefield ${PROJECT_VERSION}")
  message(STATUS "  build type:   ${CMAKE_BUILD_TYPE}")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "^([^|]*)\\|(.*)$" _ "${line}")
    string(LENGTH "${CMAKE_MATCH_1}" length)
    math(EXPR pad "13 - ${length}")
    string(REPEAT " " ${pad} padding)
    message(STATUS "  ${CMAKE_MATCH_1}:${padding}${CMAKE_MATCH_2}")
  endforeach()
endfunction()
