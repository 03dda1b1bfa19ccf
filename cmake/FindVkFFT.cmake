# Finds the VkFFT headers and their version, and makes the target VkFFT::VkFFT.
#
#   -DVKFFT_INCLUDE_DIR=DIR   the folder that holds vkFFT.h; when given, no other is looked at.
#
# Otherwise: third_party/vkfft of this project, the per-user cache that ci/setup.sh fills, then the
# system. The first folder whose version is known to work is taken. On failure VkFFT_REASON says why.

set(vkfft_known_good 1.3.4)  # versions whose plans have passed this project's tests

# Reads "return 10304;" of VkFFTGetVersion() as 1.3.4; empty where vkFFT.h is absent or unlike itself.
function(vkfft_read_version folder result)
  set(${result} "" PARENT_SCOPE)
  if(NOT EXISTS "${folder}/vkFFT.h")
    return()
  endif()
  file(STRINGS "${folder}/vkFFT.h" line REGEX "return [0-9]+;.*X\\.XX\\.XX" LIMIT_COUNT 1)
  if(line MATCHES "return ([0-9]+)")
    math(EXPR major "${CMAKE_MATCH_1} / 10000")
    math(EXPR minor "${CMAKE_MATCH_1} / 100 % 100")
    math(EXPR patch "${CMAKE_MATCH_1} % 100")
    set(${result} ${major}.${minor}.${patch} PARENT_SCOPE)
  endif()
endfunction()

set(VKFFT_INCLUDE_DIR "" CACHE PATH "Folder that holds VkFFT's vkFFT.h")
if(VKFFT_INCLUDE_DIR)
  set(vkfft_candidates ${VKFFT_INCLUDE_DIR})
else()
  set(vkfft_candidates ${PROJECT_SOURCE_DIR}/third_party/vkfft)
  foreach(cache "$ENV{XDG_CACHE_HOME}" "$ENV{HOME}/.cache")
    if(cache)
      list(APPEND vkfft_candidates ${cache}/wavefield/vkfft)
    endif()
  endforeach()
  foreach(prefix ${CMAKE_PREFIX_PATH} ${CMAKE_SYSTEM_PREFIX_PATH})
    list(APPEND vkfft_candidates ${prefix}/include ${prefix}/include/vkfft ${prefix}/include/vkFFT)
  endforeach()
endif()

set(vkfft_folder "")
set(VkFFT_REASON "")
foreach(candidate IN LISTS vkfft_candidates)
  vkfft_read_version("${candidate}" VkFFT_VERSION)
  if(VkFFT_VERSION IN_LIST vkfft_known_good)
    set(vkfft_folder ${candidate})
    break()
  elseif(EXISTS "${candidate}/vkFFT.h" AND NOT VkFFT_REASON)
    set(VkFFT_REASON "VkFFT ${VkFFT_VERSION} in ${candidate} is not a version known to work \
(${vkfft_known_good})")
  endif()
endforeach()
if(NOT vkfft_folder)
  if(NOT VkFFT_REASON)
    set(VkFFT_REASON "no vkFFT.h in ${VKFFT_INCLUDE_DIR}")
    if(NOT VKFFT_INCLUDE_DIR)
      set(VkFFT_REASON "VkFFT ${vkfft_known_good} not found")
    endif()
  endif()
  string(APPEND VkFFT_REASON " (ci/setup.sh fetches it, VKFFT_INCLUDE_DIR names it)")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(VkFFT
  REQUIRED_VARS vkfft_folder VERSION_VAR VkFFT_VERSION REASON_FAILURE_MESSAGE "${VkFFT_REASON}")

if(VkFFT_FOUND AND NOT TARGET VkFFT::VkFFT)
  add_library(VkFFT::VkFFT INTERFACE IMPORTED GLOBAL)
  # An interface folder of an imported target is a system one: its warnings are not ours.
  set_target_properties(VkFFT::VkFFT PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${vkfft_folder})
endif()
