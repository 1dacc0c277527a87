// SPDX-License-Identifier: MIT
// How a kernel family is compiled once per ISA and picked at run time.
//
// A family F is a file ops/kernels/F.c, compiled once per ISA with REEL_KERNEL_ISA set to portable, base, avx2 or
// avx512. It defines one exported object, REEL_KERNEL_TABLE(F), of a type reel_F_kernels its header declares:
//
//     const reel_pool_kernels REEL_KERNEL_TABLE(pool) = { .maxpool2d_f32 = maxpool2d_f32, ... };
//
// The header says REEL_DECLARE_KERNELS(pool), and a caller says reel_pool_kernels_for(exec->isa).
#ifndef REEL_OPS_KERNELS_DISPATCH_H
#define REEL_OPS_KERNELS_DISPATCH_H

#include <reel/core/dtype.h>
#include <reel/core/exec.h>

#define REEL_PASTE4_(a, b, c, d) a##b##c##d
#define REEL_PASTE4(a, b, c, d) REEL_PASTE4_(a, b, c, d)
#define REEL_KERNEL_TABLE(family) REEL_PASTE4(reel_, family, _kernels_, REEL_KERNEL_ISA)

// Without REEL_HAVE_PORTABLE plain C is compiled once, as the baseline, which every machine of the kind has; `portable`
// then names that.
#if defined(REEL_HAVE_PORTABLE)
#define REEL_PORTABLE_KERNELS(family) reel_##family##_kernels_portable
#else
#define REEL_PORTABLE_KERNELS(family) reel_##family##_kernels_base
#endif

#if defined(__x86_64__)
#define REEL_DECLARE_KERNELS(family)                                                                                   \
    extern const reel_##family##_kernels REEL_PORTABLE_KERNELS(family), reel_##family##_kernels_base,                  \
        reel_##family##_kernels_avx2, reel_##family##_kernels_avx512;                                                  \
    static inline const reel_##family##_kernels *reel_##family##_kernels_for(reel_isa isa)                             \
    {                                                                                                                  \
        switch (isa) {                                                                                                 \
        case REEL_ISA_AVX512: return &reel_##family##_kernels_avx512;                                                  \
        case REEL_ISA_AVX2: return &reel_##family##_kernels_avx2;                                                      \
        case REEL_ISA_BASE: return &reel_##family##_kernels_base;                                                      \
        default: return &REEL_PORTABLE_KERNELS(family);                                                                \
        }                                                                                                              \
    }
#else
#define REEL_DECLARE_KERNELS(family)                                                                                   \
    extern const reel_##family##_kernels REEL_PORTABLE_KERNELS(family), reel_##family##_kernels_base;                  \
    static inline const reel_##family##_kernels *reel_##family##_kernels_for(reel_isa isa)                             \
    {                                                                                                                  \
        return isa == REEL_ISA_PORTABLE ? &REEL_PORTABLE_KERNELS(family) : &reel_##family##_kernels_base;              \
    }
#endif

/* A family that holds the same functions for float32 and float64, of type F: also `lookup(isa, dtype)`. */
#define REEL_DECLARE_KERNELS_BY_DTYPE(family, F, lookup) REEL_DECLARE_KERNELS_BY_DTYPE_(family, F, lookup, isa)
#define REEL_DECLARE_KERNELS_BY_DTYPE_(family, F, lookup, from)                                                        \
    typedef struct reel_##family##_kernels {                                                                           \
        F f32, f64;                                                                                                    \
    } reel_##family##_kernels;                                                                                         \
    REEL_DECLARE_KERNELS(family)                                                                                       \
    static inline const F *lookup(reel_isa isa, reel_dtype dtype)                                                      \
    {                                                                                                                  \
        const reel_##family##_kernels *kernels = reel_##family##_kernels_for(from);                                    \
        return dtype == REEL_F32 ? &kernels->f32 : &kernels->f64;                                                      \
    }

/* The largest families have no float64 for AVX-512: there it takes AVX2's. What trains is float32. */
#if defined(REEL_ISA_IS_AVX512)
#define REEL_LARGE_F64 0
#else
#define REEL_LARGE_F64 1
#endif
static inline reel_isa reel_large_isa(reel_isa isa, reel_dtype dtype)
{
    return isa == REEL_ISA_AVX512 && dtype == REEL_F64 ? REEL_ISA_AVX2 : isa;
}
#define REEL_DECLARE_LARGE_KERNELS(family, F, lookup)                                                                  \
    REEL_DECLARE_KERNELS_BY_DTYPE_(family, F, lookup, reel_large_isa(isa, dtype))

#endif
