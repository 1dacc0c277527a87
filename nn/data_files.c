// SPDX-License-Identifier: MIT
// Data sets out of files: IDX, .npy, .npz, folders of PNG, CSV.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <reel/core/exec.h>
#include <reel/core/file.h>
#include <reel/core/idx.h>
#include <reel/core/npy.h>
#include <reel/core/operands.h>
#include <reel/core/png.h>
#include <reel/nn/data_internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Arrays */

/* A data set of the tensors `next` reads, one a field; `names` are for messages. */
static reel_dataset *from_arrays(reel_ctx *ctx, reel_tensor *(*next)(void *source, reel_ctx *ctx, const char *name),
                                 void *source, const char *const *names, int n_fields)
{
    if (reel_ctx_error(ctx)) return NULL;
    if (n_fields < 1 || n_fields > REEL_MAX_FIELDS) {
        return reel_fail(ctx, REEL_ERROR_VALUE, "data set: 1 to %d fields, not %d", REEL_MAX_FIELDS, n_fields);
    }
    if (!reel_given_list(ctx, "data set", "names", names, n_fields)) return NULL;
    reel_dataset *data = NULL;
    REEL_SCOPE(ctx)
    {
        reel_tensor *field[REEL_MAX_FIELDS];
        bool ok = true;
        for (int k = 0; ok && k < n_fields; k++) {
            field[k] = next(source, ctx, names[k]);
            ok = field[k] != NULL;
            if (ok && reel_ndim(field[k]) == 0) {
                ok = reel_fail(ctx, REEL_ERROR_IO, "%s: is one number and no list of samples", names[k]);
            } else if (ok && reel_size(field[k], 0) != reel_size(field[0], 0)) {
                ok = reel_fail(ctx, REEL_ERROR_IO, "%s: holds %" PRId64 " samples, but %s holds %" PRId64, names[k],
                               reel_size(field[k], 0), names[0], reel_size(field[0], 0));
            }
        }
        if (ok) data = reel_dataset_from_tensors(field, n_fields);
    }
    return data;
}

static reel_tensor *next_idx(void *source, reel_ctx *ctx, const char *name)
{
    (void)source;
    return reel_idx_read(ctx, name);
}

static reel_tensor *next_npy(void *source, reel_ctx *ctx, const char *name)
{
    (void)source;
    return reel_npy_read(ctx, name);
}

static reel_tensor *next_npz(void *source, reel_ctx *ctx, const char *name)
{
    (void)ctx;
    return reel_npz_read(source, name);
}

reel_dataset *reel_dataset_idx(reel_ctx *ctx, const char *const *paths, int n_fields)
{
    return from_arrays(ctx, next_idx, NULL, paths, n_fields);
}

reel_dataset *reel_dataset_npy(reel_ctx *ctx, const char *const *paths, int n_fields)
{
    return from_arrays(ctx, next_npy, NULL, paths, n_fields);
}

reel_dataset *reel_dataset_npz(reel_ctx *ctx, const char *path, const char *const *names, int n_fields)
{
    reel_npz *file = reel_npz_open(ctx, path);
    reel_dataset *data = file ? from_arrays(ctx, next_npz, file, names, n_fields) : NULL;
    reel_npz_close(file);
    return data;
}

/* folder/name in memory of its own. */
static char *in_folder(reel_ctx *ctx, const char *folder, const char *name, const char *end)
{
    if (!folder) return reel_fail(ctx, REEL_ERROR_IO, "no folder was given (NULL)");
    size_t bytes = strlen(folder) + strlen(name) + strlen(end) + 2;
    char *path = reel_host_alloc(ctx, bytes, 1);
    if (path) snprintf(path, bytes, "%s/%s%s", folder, name, end);
    return path;
}

/* The compressed file where there is that one alone. */
static reel_tensor *read_mnist_file(reel_ctx *ctx, const char *folder, const char *name)
{
    char *plain = in_folder(ctx, folder, name, ""), *packed = in_folder(ctx, folder, name, ".gz");
    reel_tensor *x = NULL;
    if (plain && packed) x = reel_idx_read(ctx, access(plain, F_OK) != 0 && access(packed, F_OK) == 0 ? packed : plain);
    free(plain);
    free(packed);
    return x;
}

static bool check_mnist(reel_ctx *ctx, const char *folder, const char *const names[2], reel_tensor *pictures,
                        reel_tensor *labels)
{
    char text[REEL_SHAPE_TEXT];
    if (reel_dtype_of(pictures) != REEL_U8 || reel_ndim(pictures) != 3) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s/%s: holds %s %s, and pictures uint8 [N, H, W] were expected", folder,
                         names[0], reel_dtype_name(reel_dtype_of(pictures)),
                         reel_shape_format(reel_shape_of(pictures), text));
    }
    if (reel_dtype_of(labels) != REEL_U8 || reel_ndim(labels) != 1) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s/%s: holds %s %s, and labels uint8 [N] were expected", folder, names[1],
                         reel_dtype_name(reel_dtype_of(labels)), reel_shape_format(reel_shape_of(labels), text));
    }
    int64_t count = reel_size(pictures, 0);
    if (reel_size(labels, 0) != count) {
        return reel_fail(ctx, REEL_ERROR_IO, "%s: %s holds %" PRId64 " pictures, but %s holds %" PRId64 " labels",
                         folder, names[0], count, names[1], reel_size(labels, 0));
    }
    const uint8_t *label = reel_data(labels);
    for (int64_t i = 0; i < count; i++) {
        if (label[i] > 9) {
            return reel_fail(ctx, REEL_ERROR_IO, "%s/%s: label %" PRId64 " is %d, and labels are 0 to 9", folder,
                             names[1], i, label[i]);
        }
    }
    return true;
}

reel_dataset *reel_dataset_mnist(reel_ctx *ctx, const char *folder, bool training)
{
    static const char *const names[2][2] = { { "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte" },
                                             { "train-images-idx3-ubyte", "train-labels-idx1-ubyte" } };
    if (reel_ctx_error(ctx)) return NULL;
    reel_dataset *data = NULL;
    REEL_SCOPE(ctx)
    {
        reel_tensor *pictures = read_mnist_file(ctx, folder, names[training][0]);
        reel_tensor *labels = pictures ? read_mnist_file(ctx, folder, names[training][1]) : NULL;
        if (labels && check_mnist(ctx, folder, names[training], pictures, labels)) {
            int64_t count = reel_size(pictures, 0), h = reel_size(pictures, 1), w = reel_size(pictures, 2);
            const reel_field fields[2] = { { REEL_U8, REEL_SHAPE(1, h, w) }, { REEL_I64, REEL_SCALAR } };
            void *blocks[2] = { reel_host_alloc(ctx, (size_t)count, (size_t)(h * w)),
                                reel_host_alloc(ctx, (size_t)count, sizeof(int64_t)) };
            if (blocks[0] && blocks[1]) {
                memcpy(blocks[0], reel_data(pictures), (size_t)(count * h * w));
                const uint8_t *label = reel_data(labels);
                for (int64_t i = 0; i < count; i++) ((int64_t *)blocks[1])[i] = label[i];
                data = reel_dataset_from_blocks(ctx, count, fields, blocks, 2);
            } else {
                free(blocks[0]);
                free(blocks[1]);
            }
        }
    }
    return data;
}

/* Folders of pictures */

typedef struct texts {
    char **at;
    int64_t count, room;
} texts;

static bool add_text(reel_ctx *ctx, texts *list, char *text)
{
    if (!text) return false;
    if (list->count == list->room) {
        int64_t room = list->room ? 2 * list->room : 64;
        char **grown = realloc(list->at, (size_t)room * sizeof *grown);
        if (!grown) {
            free(text);
            return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a list of %" PRId64 " files", room);
        }
        list->at = grown;
        list->room = room;
    }
    list->at[list->count++] = text;
    return true;
}

static void free_texts(texts *list)
{
    for (int64_t i = 0; i < list->count; i++) free(list->at[i]);
    free(list->at);
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_png(const char *name)
{
    size_t length = strlen(name);
    if (length < 4) return false;
    const char *end = name + length - 4;
    return end[0] == '.' && tolower((unsigned char)end[1]) == 'p' && tolower((unsigned char)end[2]) == 'n' &&
           tolower((unsigned char)end[3]) == 'g';
}

/* The names in `path` of folders or of pictures, in alphabetical order; hidden ones are passed over. */
static bool list_folder(reel_ctx *ctx, const char *path, bool folders, texts *list)
{
    if (!path) return reel_fail(ctx, REEL_ERROR_IO, "no folder was given (NULL)");
    DIR *folder = opendir(path);
    if (!folder) return reel_fail(ctx, REEL_ERROR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        char *full = in_folder(ctx, path, entry->d_name, "");
        ok = full != NULL;
        if (ok && is_folder(full) == folders && (folders || is_png(entry->d_name))) {
            ok = add_text(ctx, list, reel_copy_text(ctx, entry->d_name));
        }
        free(full);
    }
    closedir(folder);
    if (list->count) qsort(list->at, (size_t)list->count, sizeof *list->at, compare_texts);
    return ok;
}

typedef struct png_set {
    texts paths;
    int64_t *label;
    int channels;
} png_set;

static bool read_png(const reel_dataset *data, reel_ctx *ctx, int64_t index, reel_generator *generator,
                     void *const *fields)
{
    (void)generator;
    const png_set *set = data->own;
    bool ok = false;
    char have[REEL_SHAPE_TEXT], want[REEL_SHAPE_TEXT];
    REEL_SCOPE(ctx)
    {
        reel_tensor *picture = reel_png_read(ctx, set->paths.at[index], set->channels);
        if (picture && !reel_shape_equal(reel_shape_of(picture), data->field[0].shape)) {
            reel_fail(ctx, REEL_ERROR_IO, "%s: is %s, but the first picture is %s", set->paths.at[index],
                      reel_shape_format(reel_shape_of(picture), have), reel_shape_format(data->field[0].shape, want));
        } else if (picture) {
            ok = reel_copy_out(picture, fields[0], data->bytes[0]);
        }
    }
    memcpy(fields[1], &set->label[index], sizeof *set->label);
    return ok;
}

static void free_png_set(png_set *set)
{
    if (!set) return;
    free_texts(&set->paths);
    free(set->label);
    free(set);
}

static void release_png(reel_dataset *data) { free_png_set(data->own); }

static const reel_dataset_kind png_kind = { read_png, NULL, release_png };

/* Adds the pictures of one class. */
static bool add_class(reel_ctx *ctx, png_set *set, const char *folder, const char *name, int64_t label)
{
    texts names = { 0 };
    char *path = in_folder(ctx, folder, name, "");
    bool ok = path && list_folder(ctx, path, false, &names);
    for (int64_t i = 0; ok && i < names.count; i++)
        ok = add_text(ctx, &set->paths, in_folder(ctx, path, names.at[i], ""));
    int64_t *grown = ok ? realloc(set->label, (size_t)(set->paths.count ? set->paths.count : 1) * sizeof *grown) : NULL;
    if (grown) {
        set->label = grown;
        for (int64_t i = set->paths.count - names.count; i < set->paths.count; i++) grown[i] = label;
    } else if (ok) {
        reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for the labels of %s", folder);
    }
    free(path);
    free_texts(&names);
    return grown != NULL;
}

/* The set of all classes' pictures, and its fields from the first one. */
static png_set *open_png_set(reel_ctx *ctx, const char *folder, int channels, texts *classes, reel_field fields[2])
{
    png_set *set = calloc(1, sizeof *set);
    if (!set) return reel_fail(ctx, REEL_ERROR_MEMORY, "no memory for a data set");
    set->channels = channels;
    bool ok = list_folder(ctx, folder, true, classes);
    if (ok && !classes->count) ok = reel_fail(ctx, REEL_ERROR_IO, "%s: has no folders, one a class", folder);
    for (int64_t i = 0; ok && i < classes->count; i++) ok = add_class(ctx, set, folder, classes->at[i], i);
    if (ok && !set->paths.count) ok = reel_fail(ctx, REEL_ERROR_IO, "%s: its class folders hold no PNG files", folder);
    if (ok) {
        REEL_SCOPE(ctx)
        {
            reel_tensor *first = reel_png_read(ctx, set->paths.at[0], channels);
            ok = first != NULL;
            fields[0] = (reel_field) { REEL_U8, reel_shape_of(first) };
            fields[1] = (reel_field) { REEL_I64, REEL_SCALAR };
        }
    }
    if (ok) return set;
    free_png_set(set);
    return NULL;
}

reel_dataset *reel_dataset_png_folder(reel_ctx *ctx, const char *folder, int channels)
{
    if (reel_ctx_error(ctx)) return NULL;
    texts classes = { 0 };
    reel_field fields[2];
    png_set *set = open_png_set(ctx, folder, channels, &classes, fields);
    reel_dataset *data = set ? reel_dataset_alloc(ctx, &png_kind, set->paths.count, fields, 2, NULL, set) : NULL;
    if (data) {
        data->class_names = classes.at;
        data->classes = classes.count;
        return data;
    }
    free_png_set(set);
    free_texts(&classes);
    return NULL;
}

/* CSV */

typedef struct csv_reader {
    reel_ctx *ctx;
    const char *path;
    char *at;
    int64_t line;
    char delimiter;
    int64_t columns, rows, room; /* columns 0: not known yet */
    double *values;
} csv_reader;

static bool add_value(csv_reader *csv, int64_t column, double value)
{
    int64_t place = csv->rows * csv->columns + column;
    if (csv->columns == 0) place = column; /* the first line tells how many there are */
    if (place >= csv->room) {
        int64_t room = csv->room ? 2 * csv->room : 1024;
        double *grown = realloc(csv->values, (size_t)room * sizeof *grown);
        if (!grown) return reel_fail(csv->ctx, REEL_ERROR_MEMORY, "no memory for the numbers of %s", csv->path);
        csv->values = grown;
        csv->room = room;
    }
    csv->values[place] = value;
    return true;
}

static void skip_blanks(csv_reader *csv)
{
    while (*csv->at == ' ' || (*csv->at == '\t' && csv->delimiter != '\t')) csv->at++;
}

/* One number, perhaps in quotes; csv->at moves past it. */
static bool parse_number(csv_reader *csv, int64_t column, double *value)
{
    skip_blanks(csv);
    bool quoted = *csv->at == '"';
    csv->at += quoted;
    char *end = csv->at;
    if (!isspace((unsigned char)*csv->at)) *value = strtod(csv->at, &end);
    if (end == csv->at) {
        int length = (int)strcspn(csv->at, "\r\n");
        return reel_fail(csv->ctx, REEL_ERROR_IO, "%s: line %" PRId64 ", column %" PRId64 ": no number: %.*s",
                         csv->path, csv->line, column + 1, length < 40 ? length : 40, csv->at);
    }
    csv->at = end + (quoted && *end == '"');
    skip_blanks(csv);
    return true;
}

/* One line of numbers. */
static bool parse_line(csv_reader *csv)
{
    int64_t column = 0;
    for (;; column++) {
        double value = 0;
        if (!parse_number(csv, column, &value) || !add_value(csv, column, value)) return false;
        if (*csv->at != csv->delimiter) break;
        csv->at++;
    }
    csv->at += *csv->at == '\r';
    if (*csv->at != '\n' && *csv->at != '\0') {
        return reel_fail(csv->ctx, REEL_ERROR_IO, "%s: line %" PRId64 ", column %" PRId64 ": '%c' after the number",
                         csv->path, csv->line, column + 1, *csv->at);
    }
    if (csv->columns == 0) csv->columns = column + 1;
    if (column + 1 != csv->columns) {
        return reel_fail(csv->ctx, REEL_ERROR_IO,
                         "%s: line %" PRId64 " has %" PRId64 " columns, and the first has %" PRId64, csv->path,
                         csv->line, column + 1, csv->columns);
    }
    csv->rows++;
    return true;
}

static bool parse_csv(csv_reader *csv, bool header)
{
    for (csv->line = 1; *csv->at; csv->line++) {
        size_t length = strcspn(csv->at, "\n");
        bool blank = strspn(csv->at, " \t\r") >= length;
        if (header || blank) {
            if (!blank) header = false;
            csv->at += length;
        } else if (!parse_line(csv)) {
            return false;
        }
        csv->at += *csv->at == '\n';
    }
    if (csv->rows == 0) return reel_fail(csv->ctx, REEL_ERROR_IO, "%s: has no lines of numbers", csv->path);
    return true;
}

/* The table cut into inputs and targets. */
static reel_dataset *csv_dataset(const csv_reader *csv, int64_t targets, bool integer)
{
    int64_t inputs = csv->columns - targets;
    if (targets < 0 || inputs < 1) {
        return reel_fail(csv->ctx, REEL_ERROR_VALUE, "%s: has %" PRId64 " columns, and %" PRId64 " cannot be targets",
                         csv->path, csv->columns, targets);
    }
    reel_field fields[2] = { { REEL_F32, REEL_SHAPE(inputs) }, { integer ? REEL_I64 : REEL_F32, REEL_SHAPE(targets) } };
    if (targets == 1) fields[1].shape = REEL_SCALAR;
    void *blocks[2] = { reel_host_alloc(csv->ctx, (size_t)(csv->rows * inputs), sizeof(float)),
                        reel_host_alloc(csv->ctx, (size_t)(csv->rows * targets), sizeof(int64_t)) };
    bool ok = blocks[0] && blocks[1];
    for (int64_t i = 0; ok && i < csv->rows; i++) {
        const double *row = csv->values + i * csv->columns;
        for (int64_t j = 0; j < inputs; j++) ((float *)blocks[0])[i * inputs + j] = (float)row[j];
        for (int64_t j = 0; ok && j < targets; j++) {
            double value = row[inputs + j];
            if (!integer) {
                ((float *)blocks[1])[i * targets + j] = (float)value;
            } else if (value >= -0x1p53 && value <= 0x1p53 && value == (double)(int64_t)value) {
                ((int64_t *)blocks[1])[i * targets + j] = (int64_t)value;
            } else {
                ok = reel_fail(csv->ctx, REEL_ERROR_IO, "%s: row %" PRId64 ": the target %g is no whole number",
                               csv->path, i + 1, value);
            }
        }
    }
    if (ok) {
        if (targets == 0) free(blocks[1]);
        return reel_dataset_from_blocks(csv->ctx, csv->rows, fields, blocks, targets ? 2 : 1);
    }
    free(blocks[0]);
    free(blocks[1]);
    return NULL;
}

reel_dataset *reel_dataset_csv(reel_ctx *ctx, const char *path, const reel_csv_opts *opts)
{
    static const reel_csv_opts defaults;
    if (reel_ctx_error(ctx)) return NULL;
    if (!opts) opts = &defaults;
    size_t size;
    char *text = reel_file_read(ctx, path, &size);
    if (!text) return NULL;
    reel_dataset *data = NULL;
    bool marked = strncmp(text, "\xEF\xBB\xBF", 3) == 0; /* UTF-8's mark, as spreadsheets write it */
    csv_reader csv = { .ctx = ctx, .path = path, .at = text + 3 * marked, .delimiter = opts->delimiter ? opts->delimiter : ',' };
    /* Numbers in files have a point, whatever the program's locale has. */
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), before = plain ? uselocale(plain) : (locale_t)0;
    if (strlen(text) != size) {
        reel_fail(ctx, REEL_ERROR_IO, "%s: holds a zero byte and is no text", path);
    } else if (parse_csv(&csv, !opts->no_header)) {
        data = csv_dataset(&csv, opts->target_columns, opts->integer_target);
    }
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    free(csv.values);
    free(text);
    return data;
}
