# test_gpu_ops on every Vulkan driver that computes on the CPU: a test each, by the driver's manifest.
# wf_vulkan_test(NAME MANIFEST PACKAGE): without the manifest the test is a skip that says so.
function(wf_vulkan_test name manifest package)
  if(manifest)
    add_test(NAME ${name} COMMAND test_gpu_ops vulkan)
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "VK_DRIVER_FILES=${manifest};VK_ICD_FILENAMES=${manifest}")
  else()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo
      "skipped: no driver manifest (package ${package})")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped")
  endif()
endfunction()

if(TARGET wf_vulkan)
  file(GLOB lavapipe /usr/share/vulkan/icd.d/lvp_icd*.json /etc/vulkan/icd.d/lvp_icd*.json)
  if(lavapipe)
    list(GET lavapipe 0 lavapipe)
  endif()
  # SwiftShader comes with browsers.
  execute_process(COMMAND dpkg -L chromium chromium-common
    OUTPUT_VARIABLE files ERROR_QUIET)
  string(REGEX MATCH "[^\n]*/vk_swiftshader_icd.json" swiftshader "${files}")
  find_file(validation VkLayer_khronos_validation.json
    PATHS /usr/share/vulkan /etc/vulkan PATH_SUFFIXES explicit_layer.d NO_CACHE)

  wf_vulkan_test(gpu_ops_lavapipe "${lavapipe}" mesa-vulkan-drivers)
  wf_vulkan_test(gpu_ops_swiftshader "${swiftshader}" chromium)
  if(lavapipe AND validation)
    wf_vulkan_test(gpu_ops_validation "${lavapipe}" mesa-vulkan-drivers)
    set_property(TEST gpu_ops_validation APPEND PROPERTY
      ENVIRONMENT VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation)
    set_property(TEST gpu_ops_validation PROPERTY
      FAIL_REGULAR_EXPRESSION "Validation (Error|Warning|Performance)" "VUID-" "UNASSIGNED-")
  else()
    wf_vulkan_test(gpu_ops_validation "" vulkan-validationlayers)
  endif()
endif()
