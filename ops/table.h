// SPDX-License-Identifier: MIT
// The op table: every op by name, with its inputs, attributes and defaults, callable from data.
#ifndef REEL_OPS_TABLE_H
#define REEL_OPS_TABLE_H

#include <reel/core/named.h>
#include <reel/core/op.h>

REEL_BEGIN

typedef struct reel_call_args reel_call_args;

/* One row, defined beside the op as `const reel_function reel_fn_conv2d` and listed in ops/table.def. */
typedef struct reel_function {
    const char *name;   /* PyTorch's functional name                                                                  */
    const char *inputs; /* "input weight bias?": names in order, '?' may be left out; "tensors*": any number          */
    const char *attrs;  /* "stride:ints=1 padding:ints|string=0 groups:int=1 mode:string=bilinear dim:int"; no '=':   */
                        /* required; "=none": may be left out. Types: int ints float floats bool string dtype,        */
    /* '|' joins alternatives. ("int" of floats 2.0 is refused; one number for "ints" is a list of 1) */
    bool (*call)(reel_call_args *args);
    const char *formula; /* one line of docs: what it computes */
    const char *shapes; /* "input: [N, C, H, W]; weight: [K, C / groups, kH, kW] -> [N, K, oH, oW]"                   */
    const char *errors; /* what it refuses beyond what every op does (docs/ops.md): "a factor below 1; ..."           */
    int orders;         /* orders of differentiability: 0 none, -1 any                                                */
} reel_function;

/* One operand or attribute as a row's specification says: the i-th, or false past the last. */
#define REEL_PARAM_TEXT 48
typedef struct reel_param {
    char name[REEL_PARAM_TEXT];
    char type[REEL_PARAM_TEXT];     /* attributes: alternatives joined by '|'                 */
    char fallback[REEL_PARAM_TEXT]; /* attributes: the default as text; "none" for none       */
    bool optional;                  /* may be left out                                        */
    bool any_number;                /* operands: this and all that follow, whatever the names */
} reel_param;
REEL_API bool reel_function_input(const reel_function *function, int i, reel_param *param);
REEL_API bool reel_function_attr(const reel_function *function, int i, reel_param *param);

/* For a row's `call`: operands by position (NULL when left out), attributes by name with the default filled in. */
REEL_API reel_ctx *reel_args_ctx(const reel_call_args *args);
REEL_API int reel_args_inputs(const reel_call_args *args);
REEL_API reel_tensor *reel_args_input(const reel_call_args *args, int i);
REEL_API bool reel_args_has(const reel_call_args *args, const char *name); /* false: left out, default none */
REEL_API int64_t reel_args_int(const reel_call_args *args, const char *name);
REEL_API double reel_args_float(const reel_call_args *args, const char *name);
REEL_API reel_dtype reel_args_number_dtype(const reel_call_args *args, const char *name); /* as it is written: bool,
                                                                                             int64 or float32 */
REEL_API bool reel_args_bool(const reel_call_args *args, const char *name);
REEL_API const char *reel_args_string(const reel_call_args *args, const char *name); /* NULL when not a string */
REEL_API reel_dtype reel_args_dtype(const reel_call_args *args, const char *name);
/* How many numbers the list holds (one for a single number, 0 when left out), at most `capacity`, else an error and -1.
 * Of type "ints?" a list may hold null, which reads as REEL_ARGS_NULL. */
#define REEL_ARGS_NULL INT64_MIN
REEL_API int reel_args_ints(const reel_call_args *args, const char *name, int64_t *values, int capacity);
REEL_API int reel_args_floats(const reel_call_args *args, const char *name, double *values, int capacity);
/* The index of the string in "a b c", or an error that lists them and -1. */
REEL_API int reel_args_choice(const reel_call_args *args, const char *name, const char *choices);
/* Appends an output; returns false when it is NULL, so that `return reel_args_return(args, y)` ends a call. */
REEL_API bool reel_args_return(reel_call_args *args, reel_tensor *output);

/* Runs any op from data: operands by name, attributes as a JSON object (NULL: all defaults; infinities and NaN may be
 * the strings "inf", "-inf", "nan"). Writes up to `capacity` outputs and returns how many, or -1 on error: an unknown
 * op (REEL_ERROR_UNSUPPORTED), an unknown or missing operand or attribute, a wrong type. */
REEL_API int reel_call(reel_ctx *ctx, const char *op, const reel_named *inputs, int n_inputs, const char *attrs_json,
                       reel_tensor **outputs, int capacity);

/* The same for a row that is not in the table: a user's own. */
REEL_API int reel_call_function(reel_ctx *ctx, const reel_function *function, const reel_named *inputs, int n_inputs,
                                const char *attrs_json, reel_tensor **outputs, int capacity);

/* The rows, in alphabetical order; reel_function_find gives NULL for a name it does not know. */
REEL_API int reel_function_count(void);
REEL_API const reel_function *reel_function_at(int i);
REEL_API const reel_function *reel_function_find(const char *name);

REEL_END

#endif
