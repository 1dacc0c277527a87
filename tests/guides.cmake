# The guides whose code is compiled and run, and a plugin made of one of them.
include(${PROJECT_SOURCE_DIR}/cmake/Guides.cmake)
foreach(guide own_op derivatives profiling training)
  reel_add_guide(${guide})
endforeach()

reel_guide_code(own_op plugin_source "c|c plugin")
add_library(own_op_plugin MODULE ${plugin_source})
if(TARGET reel_shared)
  target_link_libraries(own_op_plugin PRIVATE reel_shared)
else()
  target_include_directories(own_op_plugin PRIVATE ${PROJECT_BINARY_DIR}/include) # reel-check has the rest
endif()
set_target_properties(own_op_plugin PROPERTIES PREFIX "" SUFFIX ".so")
foreach(command grad list)
  add_test(NAME plugin_${command} COMMAND reel-check plugin $<TARGET_FILE:own_op_plugin> ${command})
endforeach()
set_tests_properties(plugin_grad PROPERTIES PASS_REGULAR_EXPRESSION "order 2: 1 passed, 0 failed")
set_tests_properties(plugin_list PROPERTIES PASS_REGULAR_EXPRESSION "charbonnier +\\(input\\)  eps:float=1e-3")

# The reference page is what the table says.
add_test(NAME docs_ops_is_current COMMAND ${CMAKE_COMMAND} -DTOOL=$<TARGET_FILE:reel-check>
  -DPAGE=${PROJECT_SOURCE_DIR}/docs/ops.md -P ${PROJECT_SOURCE_DIR}/cmake/SameDocs.cmake)
add_custom_target(docs_ops COMMAND reel-check docs > ${PROJECT_SOURCE_DIR}/docs/ops.md
  COMMENT "Writing docs/ops.md from the op table" VERBATIM)

add_test(NAME reel_check_statuses COMMAND ${CMAKE_COMMAND} -DTOOL=$<TARGET_FILE:reel-check>
  -DPLUGIN=$<TARGET_FILE:own_op_plugin> -DDATA=${CMAKE_CURRENT_SOURCE_DIR} -DSCRATCH=${CMAKE_CURRENT_BINARY_DIR}/reel_check
  -P ${CMAKE_CURRENT_SOURCE_DIR}/reel_check.cmake)
