# The OpenCL backend on every driver that computes on the CPU, by driver manifest.
# wf_opencl_test(NAME MANIFEST PACKAGE COMMAND…): without the manifest a skip that says so.
function(wf_opencl_test name manifest package)
  set(vendors /etc/OpenCL/vendors)
  if(EXISTS ${vendors}/${manifest})
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "OCL_ICD_VENDORS=${vendors}/${manifest};RUSTICL_ENABLE=llvmpipe;WAVEFIELD_CACHE=off")
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
  wf_opencl_test(transfers_pocl pocl.icd pocl-opencl-icd test_transfers opencl)
  wf_opencl_test(transfers_rusticl rusticl.icd mesa-opencl-icd test_transfers opencl)
  wf_opencl_test(steps_pocl pocl.icd pocl-opencl-icd test_steps opencl)
  # Whole trainings take rusticl minutes of compiling; check_rusticl runs whole models there.
  wf_opencl_test(gpu_ops_rusticl rusticl.icd mesa-opencl-icd test_gpu_ops opencl)
  wf_test_program(test_opencl)
  target_include_directories(test_opencl PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_opencl SYSTEM PRIVATE ${OPENCL_INCLUDE_DIR})
  wf_test_program(kernels_launched)
  target_include_directories(kernels_launched PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(kernels_launched SYSTEM PRIVATE ${OPENCL_INCLUDE_DIR})
  add_test(NAME oclgrind COMMAND ${PROJECT_SOURCE_DIR}/ci/oclgrind.sh --quick)
  set_tests_properties(oclgrind PROPERTIES SKIP_RETURN_CODE 77
    ENVIRONMENT "WAVEFIELD_BUILD=${PROJECT_BINARY_DIR}")
  wf_opencl_test(opencl_pocl pocl.icd pocl-opencl-icd test_opencl)
  wf_opencl_test(opencl_rusticl rusticl.icd mesa-opencl-icd test_opencl)
  wf_opencl_test(gpu_tuning_pocl pocl.icd pocl-opencl-icd test_gpu_tuning opencl)

  wf_test_program(test_opencl_device)
  target_include_directories(test_opencl_device PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_opencl_device SYSTEM PRIVATE ${OPENCL_INCLUDE_DIR})
  wf_opencl_test(opencl_device_pocl pocl.icd pocl-opencl-icd test_opencl_device)
endif()
