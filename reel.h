// SPDX-License-Identifier: MIT
// All of Reel.
#ifndef REEL_REEL_H
#define REEL_REEL_H

#include <reel/core/autograd.h>
#include <reel/core/context.h>
#include <reel/core/dtype.h>
#include <reel/core/error.h>
#include <reel/core/gradcheck.h>
#include <reel/core/graph.h>
#include <reel/core/idx.h>
#include <reel/core/named.h>
#include <reel/core/npy.h>
#include <reel/core/op.h>
#include <reel/core/png.h>
#include <reel/core/random.h>
#include <reel/core/safetensors.h>
#include <reel/core/store.h>
#include <reel/core/tensor.h>
#include <reel/ops/attention.h>
#include <reel/ops/conv.h>
#include <reel/ops/derivatives.h>
#include <reel/ops/dropout.h>
#include <reel/ops/einsum.h>
#include <reel/ops/fft.h>
#include <reel/ops/fold.h>
#include <reel/ops/index.h>
#include <reel/ops/interpolate.h>
#include <reel/ops/join.h>
#include <reel/ops/loss.h>
#include <reel/ops/matmul.h>
#include <reel/ops/norm.h>
#include <reel/ops/pad.h>
#include <reel/ops/plugin.h>
#include <reel/ops/pointwise.h>
#include <reel/ops/pool.h>
#include <reel/ops/recurrent.h>
#include <reel/ops/reduce.h>
#include <reel/ops/sample.h>
#include <reel/ops/scan.h>
#include <reel/ops/shape.h>
#include <reel/ops/softmax.h>
#include <reel/ops/sort.h>
#include <reel/ops/table.h>
#include <reel/nn/data.h>
#include <reel/nn/init.h>
#include <reel/nn/loader.h>
#include <reel/nn/module.h>
#include <reel/optim/clip.h>
#include <reel/optim/ema.h>
#include <reel/optim/optim.h>
#include <reel/optim/schedule.h>

#endif
