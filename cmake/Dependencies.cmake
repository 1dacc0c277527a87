# What Reel takes from others. A missing library is an error that names its Debian package.
find_package(PkgConfig REQUIRED)

function(reel_require target pkg debian)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET GLOBAL ${pkg})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "${pkg} was not found by pkg-config. On Debian: apt-get install ${debian} "
      "(or run scripts/test.sh, which installs all that is needed).")
  endif()
endfunction()

reel_require(REEL_SLEEF sleef libsleef-dev)
reel_require(REEL_JANSSON jansson libjansson-dev)
reel_require(REEL_PNG libpng libpng-dev)
reel_require(REEL_ZLIB zlib zlib1g-dev)
if(REEL_FFTW)
  reel_require(REEL_FFTW3F fftw3f "libfftw3-dev (or configure with -DREEL_FFTW=OFF)")
  reel_require(REEL_FFTW3 fftw3 "libfftw3-dev (or configure with -DREEL_FFTW=OFF)")
endif()
# Anomaly mode tells lines of the user's program through libdw, where it is there.
if(REEL_LIBDW)
  pkg_check_modules(REEL_DW QUIET IMPORTED_TARGET GLOBAL libdw)
  if(NOT REEL_DW_FOUND)
    message(STATUS "libdw was not found (Debian: libdw-dev): anomaly mode will give addresses instead of lines")
  endif()
endif()
include(CheckIncludeFile)
check_include_file(execinfo.h REEL_EXECINFO)
if(REEL_TESTS)
  reel_require(REEL_CRITERION criterion "libcriterion-dev (or configure with -DREEL_TESTS=OFF)")
endif()

if(NOT DEFINED BLA_VENDOR)
  set(BLA_VENDOR OpenBLAS)
endif()
find_package(BLAS)
if(NOT BLAS_FOUND)
  message(FATAL_ERROR "No BLAS (BLA_VENDOR=${BLA_VENDOR}) was found. On Debian: apt-get install libopenblas-dev, or set "
    "BLA_VENDOR to another vendor that brings the CBLAS interface.")
endif()

if(REEL_OPENMP)
  find_package(OpenMP COMPONENTS C)
  if(NOT OpenMP_C_FOUND)
    message(FATAL_ERROR "OpenMP was not found. On Debian GCC brings it; with Clang: apt-get install libomp-dev "
      "(or configure with -DREEL_OPENMP=OFF).")
  endif()
endif()
