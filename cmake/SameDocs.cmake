# cmake -DTOOL=reel-check -DPAGE=docs/ops.md -P SameDocs.cmake: fails when the page is not what the tool writes.
cmake_minimum_required(VERSION 3.20)
execute_process(COMMAND ${TOOL} docs OUTPUT_VARIABLE now RESULT_VARIABLE status)
file(READ ${PAGE} page)
if(NOT status EQUAL 0 OR NOT "${now}" STREQUAL "${page}")
  message(FATAL_ERROR "${PAGE} is not up to date: build the target docs_ops")
endif()
