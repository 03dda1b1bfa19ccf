# Makes one kernel's self-contained sources.
#   cmake -DNAME=product_64x64 -DFILE=…/product.comp -DDEFINES=DOWN=16,ACROSS=16,…
#         -DSTORAGE=F32 -DSTORED=TRUE -DGLSL_ONLY=FALSE -DOUT=DIR -P assemble.cmake
# for the storage type STORAGE; STORED: variants for the other types follow the one for F32;
# GLSL_ONLY: not for OpenCL and CUDA, whose file then only tells one version of the kernel from another.
# Writes, in OUT, with every #include resolved:
#   NAME.glsl   for glslc
#   NAME.text   C string literals: the kernel for OpenCL C and CUDA, to follow prelude.text
#   NAME.entry  the KERNEL line, as KERNEL_ENTRY(NAME_IN_CAPITALS, name, …) for the host
# With NAME=prelude only NAME.text: the headers that every kernel shares.
cmake_minimum_required(VERSION 3.22)
set(folder ${CMAKE_CURRENT_LIST_DIR})
string(TOUPPER ${NAME} capitals)

function(resolve_includes text out)
  while(text MATCHES "#include \"([^\"]+)\"[^\n]*\n")
    set(line "${CMAKE_MATCH_0}")
    file(READ ${folder}/${CMAKE_MATCH_1} included)
    string(REPLACE "${line}" "${included}" text "${text}")
  endwhile()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(write_literal path text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n\"" text "${text}")
  file(WRITE ${path} "\"${text}\"\n")
endfunction()

file(READ ${FILE} text)
if(NAME STREQUAL "prelude")
  resolve_includes("${text}" text)
  write_literal(${OUT}/${NAME}.text "${text}")
  return()
endif()

get_filename_component(base ${FILE} NAME_WE)
string(REPLACE "KERNEL(${base}," "KERNEL(${NAME}," text "${text}")
string(FIND "${text}" "\nKERNEL(${NAME}," begin)
if(begin EQUAL -1)
  message(FATAL_ERROR "${FILE}: no line KERNEL(${base}, …)")
endif()
math(EXPR begin "${begin} + 8")
string(SUBSTRING "${text}" ${begin} -1 entry)
string(REGEX REPLACE "\n(SHARED\\(|BODY).*" "\n" entry "${entry}")
string(REPLACE "," ";" defines "${DEFINES}")
foreach(define IN LISTS defines)
  string(REGEX MATCH "^[^=]+" macro "${define}")
  string(REGEX REPLACE "^[^=]+=" "" value "${define}")
  string(REGEX REPLACE "([ ,*(])${macro}([ ,*)])" "\\1${value}\\2" entry "${entry}") # the threads
endforeach()
set(glsl_only 0)
if(GLSL_ONLY)
  set(glsl_only 1)
endif()
set(stored_bytes 2)
set(variants 1)
if(STORAGE STREQUAL "F32")
  set(stored_bytes 4)
  if(STORED)
    set(variants 3)
  endif()
endif()
file(WRITE ${OUT}/${NAME}.entry "#undef STORED_BYTES
#define STORED_BYTES ${stored_bytes}
#undef STORED_VARIANTS
#define STORED_VARIANTS ${variants}
#undef GLSL_ONLY
#define GLSL_ONLY ${glsl_only}
KERNEL_ENTRY(${capitals}, ${entry}")

list(APPEND defines STORAGE=${STORAGE})
set(before "")
set(after "")
foreach(define IN LISTS defines)
  string(REPLACE "=" ";" pair "${define}")
  list(GET pair 0 macro)
  list(GET pair 1 value)
  string(APPEND before "#define ${macro} ${value}\n")
  string(APPEND after "#undef ${macro}\n")
endforeach()
set(text "${before}${text}${after}")

set(sixteen_bits "")
if(stored_bytes EQUAL 2)
  set(sixteen_bits "#extension GL_EXT_shader_16bit_storage : require\n")
endif()
set(glsl "#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require
${sixteen_bits}#define STORED_BYTES ${stored_bytes}
${text}")
resolve_includes("${glsl}" glsl)
file(WRITE ${OUT}/${NAME}.glsl "${glsl}")
# Shared headers stand in prelude.text, once for all kernels.
string(REGEX REPLACE "#include \"[^\"]+\"[^\n]*\n" "" text "${text}")
write_literal(${OUT}/${NAME}.text "${text}")
