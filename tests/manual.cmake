# Manual pages and completion, as they are made from the option tables.
if(NOT TARGET wavefield_manual)
  return()
endif()
wf_test(test_manual)
target_sources(test_manual PRIVATE ${PROJECT_SOURCE_DIR}/src/cli/roff.c
               $<TARGET_OBJECTS:wavefield_commands>)

foreach(case mandoc man completion)
  add_test(NAME manual_${case} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/manual.sh ${case})
  set_tests_properties(manual_${case} PROPERTIES SKIP_RETURN_CODE 77 ENVIRONMENT
    "MANUAL=${PROJECT_BINARY_DIR}/manual;WAVEFIELD=$<TARGET_FILE:wavefield_cli>")
endforeach()
