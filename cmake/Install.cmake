# Installs the library, the public headers (those reel.h includes, and what these need), a CMake package and reel.pc.
include(CMakePackageConfigHelpers)
set_target_properties(reel_shared reel_static PROPERTIES EXPORT_NAME reel)
install(TARGETS reel_shared EXPORT reelTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS reel_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT reelTargets NAMESPACE reel:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reel)

if(TARGET reel_mpi)
  set_target_properties(reel_mpi PROPERTIES EXPORT_NAME reel_mpi)
  install(TARGETS reel_mpi EXPORT reelMpiTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT reelMpiTargets NAMESPACE reel:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reel)
  set(mpi_headers optim/distributed.h nn/distributed.h)
endif()

file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/reel.h includes REGEX "^#include <reel/")
list(TRANSFORM includes REPLACE "^#include <reel/(.*)>.*$" "\\1")
set(headers reel.h ${includes} ${mpi_headers})
# Headers that public headers include.
set(more ${headers})
while(more)
  set(next)
  foreach(header ${more})
    file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/${header} lines REGEX "^#include <reel/")
    foreach(line ${lines})
      string(REGEX REPLACE "^#include <reel/(.*)>.*$" "\\1" needed "${line}")
      if(NOT needed IN_LIST headers)
        list(APPEND headers ${needed})
        list(APPEND next ${needed})
      endif()
    endforeach()
  endforeach()
  set(more ${next})
endwhile()
list(REMOVE_DUPLICATES headers)
foreach(header ${headers})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/reel/${folder})
endforeach()

# find_package(reel COMPONENTS mpi) asks for data parallel training too: reel::reel_mpi, linked before reel::reel.
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/reelConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/reelTargets.cmake)
if(\"mpi\" IN_LIST reel_FIND_COMPONENTS)
  set(reel_mpi_FOUND FALSE)
  if(EXISTS \${CMAKE_CURRENT_LIST_DIR}/reelMpiTargets.cmake)
    include(CMakeFindDependencyMacro)
    find_dependency(MPI COMPONENTS C)
    include(\${CMAKE_CURRENT_LIST_DIR}/reelMpiTargets.cmake)
    set(reel_mpi_FOUND TRUE)
  elseif(reel_FIND_REQUIRED_mpi)
    set(reel_FOUND FALSE)
    set(reel_NOT_FOUND_MESSAGE \"Reel was built without MPI\")
  endif()
endif()
")
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/reelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/reelConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/reelConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/reel)

set(pc_requires "sleef jansson libpng zlib")
if(REEL_FFTW)
  string(APPEND pc_requires " fftw3f fftw3")
endif()
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/reel.pc "prefix=\${pcfiledir}/../..
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}

Name: reel
Description: ${PROJECT_DESCRIPTION}
Version: ${PROJECT_VERSION}
Requires.private: ${pc_requires}
Libs: -L\${libdir} -lreel -lm
Cflags: -I\${includedir}
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/reel.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
