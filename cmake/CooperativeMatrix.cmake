# Which GLSL compiler knows cooperative matrices (GL_KHR_cooperative_matrix, of 2023; Debian 12's does
# not): MATRIX_COMPILER, empty where none does, and how compilers of both kinds are called.
#
#   glslc_command(VARIABLE INPUT OUTPUT), matrix_command(VARIABLE INPUT OUTPUT):
#   the command that compiles GLSL to SPIR-V as words for a C initialiser.
#
# -DWAVEFIELD_MATRIX_COMPILER=PROGRAM names one, a glslc or a glslang, and OFF none. Otherwise, in
# order: GLSLC, the glslang that ci/setup.sh puts into the user's cache, those of the system.

function(glslc_command result input output)
  set(${result} ${GLSLC} -std=460 -fshader-stage=compute --target-env=vulkan1.2 -O -mfmt=num
      -x glsl ${input} -o ${output} PARENT_SCOPE)
endfunction()

function(compiler_command result program input output)
  get_filename_component(name ${program} NAME)
  if(name MATCHES "glslc")
    set(GLSLC ${program})
    glslc_command(command ${input} ${output})
  else()
    set(command ${program} -x --quiet --target-env vulkan1.2 --glsl-version 460 -S comp ${input}
        -o ${output})
  endif()
  set(${result} ${command} PARENT_SCOPE)
endfunction()

function(matrix_command result input output)
  compiler_command(command ${MATRIX_COMPILER} ${input} ${output})
  set(${result} ${command} PARENT_SCOPE)
endfunction()

# The first of the programs that compiles what our kernels use.
function(first_matrix_compiler result)
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/matrix_probe)
  file(WRITE ${probe}.glsl "#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(constant_id = 0) const uint size = 16;
layout(local_size_x = 32) in;
shared uvec4 words[64];
void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, size, size, gl_MatrixUseA> a;
    coopMatLoad(a, words, 0, 2, gl_CooperativeMatrixLayoutRowMajor);
    coopMatStore(a, words, 32, 2, gl_CooperativeMatrixLayoutColumnMajor);
}
")
  set(${result} "" PARENT_SCOPE)
  foreach(program IN LISTS ARGN)
    compiler_command(command ${program} ${probe}.glsl ${probe}.spirv)
    execute_process(COMMAND ${command} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if("${failed}" STREQUAL "0")
      set(${result} ${program} PARENT_SCOPE)
      break()
    endif()
  endforeach()
endfunction()

set(WAVEFIELD_MATRIX_COMPILER "" CACHE STRING
    "GLSL compiler that knows cooperative matrices (glslc or glslang); OFF: none; empty: looked for")
set(candidates ${WAVEFIELD_MATRIX_COMPILER})
if("${WAVEFIELD_MATRIX_COMPILER}" STREQUAL "")
  set(candidates ${GLSLC})
  foreach(cache "$ENV{XDG_CACHE_HOME}" "$ENV{HOME}/.cache")
    if(EXISTS "${cache}/wavefield/glslang/glslang")
      list(APPEND candidates ${cache}/wavefield/glslang/glslang)
    endif()
  endforeach()
  foreach(name glslang glslangValidator)
    find_program(GLSLANG_${name} ${name})
    mark_as_advanced(GLSLANG_${name})
    if(GLSLANG_${name})
      list(APPEND candidates ${GLSLANG_${name}})
    endif()
  endforeach()
elseif(NOT WAVEFIELD_MATRIX_COMPILER)
  set(candidates "")
endif()
first_matrix_compiler(found ${candidates})
set(MATRIX_COMPILER "${found}" CACHE INTERNAL "knows cooperative matrices")
