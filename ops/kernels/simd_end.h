// SPDX-License-Identifier: MIT
// Closes what simd_begin.h opened.
#undef T
#undef TI
#undef K
#undef V
#undef VU
#undef VI
#undef VN
#undef LOADED
#undef v_load
#undef v_store
#undef v_load_n
#undef v_store_n
#undef v_set1
#undef v_select
#undef v_max
#undef v_min
#undef v_relu
#undef v_abs
#undef v_sum
#undef REEL_F32
#undef REEL_F64
