# reel_add_kernels(target files...): compiles each kernel file once per instruction set, and sets ${target}_KERNELS to the
# objects (an object library hands on only objects of its own sources).
function(reel_add_kernels target)
  if(NOT ARGN)
    return()
  endif()
  set(isas base)
  if(REEL_PORTABLE)
    list(APPEND isas portable)
  endif()
  set(flags_portable "")
  set(flags_base -DREEL_ISA_IS_BASE=1)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    list(APPEND isas avx2 avx512)
    set(flags_avx2 -DREEL_ISA_IS_AVX2=1 -mavx2 -mfma)
    set(flags_avx512 -DREEL_ISA_IS_AVX512=1 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512)
  endif()
  # Kernels are vector code already: what GCC would add at -O3 are copies of every loop for its ends, its strides and its
  # constants, half of the library. A plain loop that shall become vector code says `#pragma omp simd`.
  set(optimise -O3 -fopenmp-simd $<$<C_COMPILER_ID:GNU>:-fvect-cost-model=very-cheap;-fno-unswitch-loops;-fno-split-loops;-fno-split-paths;-fno-ipa-cp-clone;-fno-version-loops-for-strides>
    -fno-asynchronous-unwind-tables) # anomaly mode walks the stack of what records, and kernels do not
  if(REEL_SANITIZE)
    set(optimise -O1) # the sanitizers' checks at -O3 cost minutes of compilation and find no more
  endif()
  # Its loops over channels run under conditions that hold for a whole image.
  set_source_files_properties(ops/kernels/sample.c PROPERTIES COMPILE_OPTIONS
    "$<$<AND:$<C_COMPILER_ID:GNU>,$<CONFIG:Release>>:-funswitch-loops>")
  if(isas MATCHES avx2 AND NOT REEL_SANITIZE)
    list(APPEND flags_base -Os) # few machines have no AVX2
  endif()
  foreach(isa ${isas})
    add_library(${target}_kernels_${isa} OBJECT ${ARGN})
    target_compile_definitions(${target}_kernels_${isa} PRIVATE REEL_KERNEL_ISA=${isa})
    # Contraction gives FMA; nothing here may change what NaN and infinity mean.
    target_compile_options(${target}_kernels_${isa} PRIVATE ${optimise} ${flags_${isa}} -ffp-contract=fast -fno-math-errno
      -fno-trapping-math -Wno-psabi)
    target_link_libraries(${target}_kernels_${isa} PRIVATE reel_build)
    list(APPEND objects $<TARGET_OBJECTS:${target}_kernels_${isa}>)
  endforeach()
  set(${target}_KERNELS ${objects} PARENT_SCOPE)
endfunction()
