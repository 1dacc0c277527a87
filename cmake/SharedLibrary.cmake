# The shared library, of the objects the static one is made of.
add_library(reel_shared SHARED $<TARGET_OBJECTS:reel_objects> ${reel_objects_KERNELS})
target_link_libraries(reel_shared PRIVATE reel_build)
include(CheckLinkerFlag)
include(CheckCSourceCompiles)
set(shared_flags -Wl,-Bsymbolic-functions -Wl,--as-needed -Wl,-z,noseparate-code) # the last: no pages between sections
check_c_source_compiles("#include <features.h>
  #if !defined(__GLIBC__) || !__GLIBC_PREREQ(2, 36)
  #error its loader does not know packed relocations
  #endif
  int main(void) { return 0; }" REEL_LOADS_PACKED_RELOCATIONS)
if(REEL_LOADS_PACKED_RELOCATIONS)
  list(APPEND shared_flags -Wl,-z,pack-relative-relocs)
endif()
foreach(flag ${shared_flags})
  string(MAKE_C_IDENTIFIER "REEL_LINKER_HAS${flag}" has)
  check_linker_flag(C ${flag} ${has})
  if(${has})
    target_link_options(reel_shared PRIVATE ${flag})
  endif()
endforeach()
target_include_directories(reel_shared INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(reel_shared PROPERTIES OUTPUT_NAME reel VERSION ${PROJECT_VERSION} SOVERSION 0)
