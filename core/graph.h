// SPDX-License-Identifier: MIT
// The recorded graph for people to read, as text or as Graphviz DOT.
#ifndef REEL_CORE_GRAPH_H
#define REEL_CORE_GRAPH_H

#include <reel/core/tensor.h>

REEL_BEGIN

typedef enum reel_graph_format {
    REEL_GRAPH_TEXT, /* a line for each tensor: %3 = conv2d(%0, %1, -) float32 [64, 8, 22, 22] */
    REEL_GRAPH_DOT   /* for `dot -Tsvg`: boxes are ops, ellipses what no op made               */
} reel_graph_format;

/* Writes what `outputs` were made from and still remember, in order of recording. A value that has been computed and
 * that no gradient needs has forgotten its history and shows as constant. Nothing is played. False (and an error of the
 * context) when an output is missing, memory is short or the file cannot be written. */
REEL_API bool reel_graph_write(reel_tensor *const *outputs, int n_outputs, reel_graph_format format, FILE *file);

REEL_END

#endif
