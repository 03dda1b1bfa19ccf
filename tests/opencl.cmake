# The OpenCL backend on every driver that computes on the CPU, by the driver's manifest.
# wf_opencl_test(NAME MANIFEST PACKAGE PROGRAM): without the manifest the test is a skip that says so.
function(wf_opencl_test name manifest package program)
  set(vendors /etc/OpenCL/vendors)
  if(EXISTS ${vendors}/${manifest})
    add_test(NAME ${name} COMMAND ${program} opencl)
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "OCL_ICD_VENDORS=${vendors}/${manifest};RUSTICL_ENABLE=llvmpipe")
  else()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo
      "skipped: no ${vendors}/${manifest} (package ${package})")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped")
  endif()
endfunction()

if(TARGET wf_opencl)
  wf_opencl_test(gpu_ops_pocl pocl.icd pocl-opencl-icd test_gpu_ops)
  wf_opencl_test(gpu_ops_rusticl rusticl.icd mesa-opencl-icd test_gpu_ops)
  wf_opencl_test(gpu_tuning_pocl pocl.icd pocl-opencl-icd test_gpu_tuning)
endif()
