# The Vulkan backend on every driver that computes on the CPU, by driver manifest.
# wf_vulkan_test(NAME MANIFEST PACKAGE COMMAND…): without the manifest a skip that says so.
function(wf_vulkan_test name manifest package)
  if(manifest)
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77
      ENVIRONMENT "VK_DRIVER_FILES=${manifest};VK_ICD_FILENAMES=${manifest};WAVEFIELD_CACHE=off")
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

  foreach(test ops training)
    wf_vulkan_test(gpu_${test}_lavapipe "${lavapipe}" mesa-vulkan-drivers
                   test_gpu_${test} vulkan)
    wf_vulkan_test(gpu_${test}_swiftshader "${swiftshader}" chromium test_gpu_${test} vulkan)
  endforeach()
  wf_vulkan_test(transfers_lavapipe "${lavapipe}" mesa-vulkan-drivers test_transfers vulkan)
  wf_vulkan_test(transfers_swiftshader "${swiftshader}" chromium test_transfers vulkan)
  wf_vulkan_test(steps_lavapipe "${lavapipe}" mesa-vulkan-drivers test_steps vulkan)
  wf_vulkan_test(steps_swiftshader "${swiftshader}" chromium test_steps vulkan)
  wf_vulkan_test(gpu_tuning_lavapipe "${lavapipe}" mesa-vulkan-drivers test_gpu_tuning vulkan)
  wf_vulkan_test(gpu_fuse_lavapipe "${lavapipe}" mesa-vulkan-drivers test_gpu_fuse vulkan)
  if(lavapipe AND validation)
    wf_vulkan_test(gpu_ops_validation "${lavapipe}" mesa-vulkan-drivers test_gpu_ops vulkan)
    wf_vulkan_test(gpu_training_validation "${lavapipe}" mesa-vulkan-drivers
                   test_gpu_training vulkan)
    wf_vulkan_test(vulkan_validation "${lavapipe}" mesa-vulkan-drivers test_vulkan)
    foreach(test gpu_ops_validation gpu_training_validation vulkan_validation)
      set_property(TEST ${test} APPEND PROPERTY
        ENVIRONMENT VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation)
      set_property(TEST ${test} PROPERTY
        FAIL_REGULAR_EXPRESSION "Validation (Error|Warning|Performance)" "VUID-" "UNASSIGNED-")
    endforeach()
  else()
    wf_vulkan_test(gpu_ops_validation "" vulkan-validationlayers)
    wf_vulkan_test(gpu_training_validation "" vulkan-validationlayers)
  endif()

  wf_test_program(test_vulkan)
  target_include_directories(test_vulkan PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_vulkan SYSTEM PRIVATE ${VULKAN_INCLUDE_DIR})
  wf_vulkan_test(vulkan_lavapipe "${lavapipe}" mesa-vulkan-drivers test_vulkan)
  wf_vulkan_test(vulkan_swiftshader "${swiftshader}" chromium test_vulkan)
  wf_test_program(test_vulkan_faults)
  target_sources(test_vulkan_faults PRIVATE vulkan_fake.c)
  target_include_directories(test_vulkan_faults PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_vulkan_faults SYSTEM PRIVATE ${VULKAN_INCLUDE_DIR})
  wf_vulkan_test(vulkan_faults_lavapipe "${lavapipe}" mesa-vulkan-drivers test_vulkan_faults)
  wf_vulkan_test(vulkan_faults_staged "${lavapipe}" mesa-vulkan-drivers test_vulkan_faults brief)
  wf_vulkan_test(vulkan_faults_swiftshader "${swiftshader}" chromium test_vulkan_faults brief)
  wf_test_program(test_vulkan_matrix)
  target_sources(test_vulkan_matrix PRIVATE vulkan_fake.c)
  target_include_directories(test_vulkan_matrix PRIVATE ${PROJECT_BINARY_DIR}/generated)
  target_include_directories(test_vulkan_matrix SYSTEM PRIVATE ${VULKAN_INCLUDE_DIR})
  wf_vulkan_test(vulkan_matrix_lavapipe "${lavapipe}" mesa-vulkan-drivers test_vulkan_matrix)
  # As where the host does not see the device's memory.
  wf_vulkan_test(gpu_ops_staged "${lavapipe}" mesa-vulkan-drivers test_gpu_ops vulkan)
  wf_vulkan_test(transfers_staged "${lavapipe}" mesa-vulkan-drivers test_transfers vulkan)
  wf_vulkan_test(steps_staged "${lavapipe}" mesa-vulkan-drivers test_steps vulkan)
  foreach(test gpu_ops_staged vulkan_faults_staged transfers_staged steps_staged)
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT WAVEFIELD_VULKAN_STAGED=1)
  endforeach()
  wf_vulkan_test(vulkan_without_driver /nonexistent.json none test_vulkan absent)
endif()
