# The OpenCL backend on every driver that computes on the CPU, by driver manifest.
# wf_opencl_test(NAME MANIFEST PACKAGE COMMAND…): without the manifest a skip that says so.
function(wf_opencl_test name manifest package)
  set(vendors /etc/OpenCL/vendors)
  if(EXISTS ${vendors}/${manifest})
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "OCL_ICD_VENDORS=${vendors}/${manifest};RUSTICL_ENABLE=llvmpipe")
  else()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo
      "skipped: no ${vendors}/${manifest} (package ${package})")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped")
  endif()
endfunction()

if(TARGET wf_opencl)
  foreach(test ops training)
    wf_opencl_test(gpu_${test}_pocl pocl.icd pocl-opencl-icd test_gpu_${test} opencl)
  endforeach()
  # Whole trainings take rusticl minutes of compiling; check_rusticl runs whole models there.
  wf_opencl_test(gpu_ops_rusticl rusticl.icd mesa-opencl-icd test_gpu_ops opencl)
  if(CLBLAST_INCLUDE_DIR)
    wf_opencl_test(opencl_products_pocl pocl.icd pocl-opencl-icd test_opencl_products)
  endif()
  wf_opencl_test(gpu_tuning_pocl pocl.icd pocl-opencl-icd test_gpu_tuning opencl)

  wf_test_program(test_opencl_device)
  target_include_directories(test_opencl_device PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_opencl_device SYSTEM PRIVATE ${OPENCL_INCLUDE_DIR})
  wf_opencl_test(opencl_device_pocl pocl.icd pocl-opencl-icd test_opencl_device)
endif()
