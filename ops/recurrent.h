// SPDX-License-Identifier: MIT
// Recurrent cells: one step of a tanh RNN, an LSTM, a GRU.
#ifndef REEL_OPS_RECURRENT_H
#define REEL_OPS_RECURRENT_H

#include <reel/core/tensor.h>

REEL_BEGIN

/* h' = tanh(W_ih x + b_ih + W_hh h + b_hh). x: [N, I] or [I]; h: [N, H] or [H]; w_ih: [H, I]; w_hh: [H, H];
 * b_ih, b_hh: [H] or NULL -> h's shape. */
REEL_API reel_tensor *reel_rnn_cell(reel_tensor *x, reel_tensor *h, reel_tensor *w_ih, reel_tensor *w_hh,
                                    reel_tensor *b_ih, reel_tensor *b_hh);

/* One step of a long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):
 *   (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c');  s = sigmoid.
 * x: [N, I] or [I]; h, c: [N, H] or [H]; w_ih: [4H, I]; w_hh: [4H, H]; b_ih, b_hh: [4H] or NULL. Returns h' and
 * writes c' to *c_next (which may be NULL). */
REEL_API reel_tensor *reel_lstm_cell(reel_tensor *x, reel_tensor *h, reel_tensor *c, reel_tensor *w_ih,
                                     reel_tensor *w_hh, reel_tensor *b_ih, reel_tensor *b_hh, reel_tensor **c_next);

/* One step of a gated recurrent unit (Cho et al. 2014, with the reset gate inside as in cuDNN and PyTorch):
 *   r = s(W_ir x + b_ir + W_hr h + b_hr);  z = s(W_iz x + b_iz + W_hz h + b_hz);
 *   n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 - z) n + z h.
 * x: [N, I] or [I]; h: [N, H] or [H]; w_ih: [3H, I] (r, z, n); w_hh: [3H, H]; b_ih, b_hh: [3H] or NULL -> h's shape. */
REEL_API reel_tensor *reel_gru_cell(reel_tensor *x, reel_tensor *h, reel_tensor *w_ih, reel_tensor *w_hh,
                                    reel_tensor *b_ih, reel_tensor *b_hh);

REEL_END

#endif
