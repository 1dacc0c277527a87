// SPDX-License-Identifier: MIT
// Closes what shuffle_begin.h opened.
#undef v_even
#undef v_odd
#undef v_zip_lo
#undef v_zip_hi
#undef vi_zip_lo
#undef vi_zip_hi
#undef v_load_even
