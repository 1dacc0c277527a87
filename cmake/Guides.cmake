# Guides whose code is compiled and run.

# reel_guide_code(guide variable kinds): the guide's blocks of these kinds become a C file, whose path is in `variable`.
function(reel_guide_code guide variable kinds)
  string(MAKE_C_IDENTIFIER "${guide}_${kinds}" name)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${PROJECT_SOURCE_DIR}/docs/${guide}.md -DOUTPUT=${output} "-DKINDS=${kinds}"
      -P ${PROJECT_SOURCE_DIR}/cmake/ExtractCode.cmake
    DEPENDS ${PROJECT_SOURCE_DIR}/docs/${guide}.md ${PROJECT_SOURCE_DIR}/cmake/ExtractCode.cmake VERBATIM)
  set(${variable} ${output} PARENT_SCOPE)
endfunction()

# reel_add_guide(guide): docs/<guide>.md is one program, in blocks fenced as c or c main. It is built and run as a test.
function(reel_add_guide guide)
  reel_guide_code(${guide} source "c|c main")
  add_executable(guide_${guide} ${source})
  target_link_libraries(guide_${guide} PRIVATE reel_static)
  add_test(NAME guide_${guide} COMMAND guide_${guide})
  set_tests_properties(guide_${guide} PROPERTIES TIMEOUT 300)
endfunction()
