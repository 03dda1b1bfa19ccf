# test_gpu_ops on every OpenCL driver that computes on the CPU: a test each, by the driver's manifest.
# wf_opencl_test(NAME MANIFEST PACKAGE): without the manifest the test is a skip that says so.
function(wf_opencl_test name manifest package)
  set(vendors /etc/OpenCL/vendors)
  if(EXISTS ${vendors}/${manifest})
    add_test(NAME ${name} COMMAND test_gpu_ops opencl)
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "OCL_ICD_VENDORS=${vendors}/${manifest};RUSTICL_ENABLE=llvmpipe")
  else()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo
      "skipped: no ${vendors}/${manifest} (package ${package})")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped")
  endif()
endfunction()

if(TARGET wf_opencl)
  wf_opencl_test(gpu_ops_pocl pocl.icd pocl-opencl-icd)
  wf_opencl_test(gpu_ops_rusticl rusticl.icd mesa-opencl-icd)
endif()
