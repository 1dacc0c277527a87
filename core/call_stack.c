// SPDX-License-Identifier: MIT
// Call stacks, and their lines from a program's DWARF through elfutils' libdw.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* dladdr */
#endif
#include <reel/core/call_stack.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef REEL_HAVE_BACKTRACE
#include <dlfcn.h>
#include <execinfo.h>
#endif
#ifdef REEL_HAVE_LIBDW
#include <elfutils/libdwfl.h>
#include <unistd.h>
#endif

void reel_call_stack_capture(reel_call_stack *stack)
{
    memset(stack, 0, sizeof *stack);
#ifdef REEL_HAVE_BACKTRACE
    void *all[REEL_CALL_STACK_FRAMES + 1];
    int n = backtrace(all, REEL_CALL_STACK_FRAMES + 1);
    for (int i = 1; i < n; i++) stack->frame[i - 1] = all[i]; /* without this function */
#endif
}

#ifdef REEL_HAVE_BACKTRACE
static bool is_reels(const char *name) { return name && strncmp(name, "reel_", 5) == 0; }

/* Which frame is the user's when no lines tell: the innermost outside Reel's shared library or, where Reel is linked
 * into the program, the innermost that called a function of Reel's and was not itself called by one, as Reel's own
 * helpers are. -1 when it cannot be told. */
static int find_users_frame(int n, const char *const names[], const bool own[])
{
    for (int i = 1; i < n; i++) {
        bool called_reel = !own[i - 1] || is_reels(names[i - 1]), called_by_reel = i + 1 < n && is_reels(names[i + 1]);
        if (own[i] ? names[i] && !is_reels(names[i]) && called_reel && !called_by_reel : is_reels(names[i - 1]))
            return i;
    }
    return -1;
}

static void write_place(const void *frame, const char *name, char *text)
{
    Dl_info at;
    if (!dladdr(frame, &at) || !at.dli_fname) return;
    uintptr_t offset = (uintptr_t)frame - (uintptr_t)at.dli_fbase - 1;
    snprintf(text, REEL_CALL_STACK_TEXT, "%s%sin %s+0x%llx", name ? name : "", name ? " " : "", at.dli_fname,
             (unsigned long long)offset);
}

static void describe_address(const reel_call_stack *stack, char *text)
{
    union {
        void (*function)(reel_call_stack *);
        void *address;
    } here = { .function = reel_call_stack_capture };
    const char *names[REEL_CALL_STACK_FRAMES];
    bool own[REEL_CALL_STACK_FRAMES];
    Dl_info mine, at;
    int n = 0;
    if (!dladdr(here.address, &mine)) return;
    for (; n < REEL_CALL_STACK_FRAMES && stack->frame[n]; n++) {
        bool known = dladdr(stack->frame[n], &at);
        names[n] = known ? at.dli_sname : NULL;
        own[n] = known && at.dli_fbase == mine.dli_fbase;
    }
    int user = find_users_frame(n, names, own);
    if (user >= 0) write_place(stack->frame[user], names[user], text);
}
#endif

#ifdef REEL_HAVE_LIBDW
/* libdw and what it needs are loaded when a line is asked for, so that no program pays for them at its start. */
#define LIBDW_FUNCTIONS(X)                                                                                             \
    X(dwfl_begin) X(dwfl_end) X(dwfl_linux_proc_find_elf) X(dwfl_linux_proc_report) X(dwfl_report_end)                 \
    X(dwfl_addrmodule) X(dwfl_getsrc) X(dwfl_lineinfo) X(dwfl_module_addrname) X(dwfl_module_nextcu)                   \
    X(dwarf_haspc) X(dwarf_getsrc_die) X(dwarf_linesrc) X(dwarf_lineno)
typedef struct libdw {
#define MEMBER(name) __typeof__(&name) name;
    LIBDW_FUNCTIONS(MEMBER)
#undef MEMBER
} libdw;

static bool load(libdw *dw)
{
    void *library = dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL), *found; /* stays loaded */
    if (!library) return false;
#define FIND(name)                                                                                                     \
    if (!(found = dlsym(library, #name))) return false;                                                                \
    memcpy(&dw->name, &found, sizeof found);
    LIBDW_FUNCTIONS(FIND)
#undef FIND
    return true;
}

/* Lines come from the program's own file: nothing is looked for elsewhere, least of all over the network. */
static int no_other_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
                         const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
    return -1;
}

/* The same by asking every compilation unit: Clang writes no table of their addresses, which dwfl_getsrc goes by. */
static const char *source_by_unit(const libdw *dw, Dwfl_Module *module, Dwarf_Addr at, int *line)
{
    Dwarf_Addr bias = 0;
    for (Dwarf_Die *unit = NULL; (unit = dw->dwfl_module_nextcu(module, unit, &bias));) {
        if (dw->dwarf_haspc(unit, at - bias) != 1) continue;
        Dwarf_Line *found = dw->dwarf_getsrc_die(unit, at - bias);
        return found && dw->dwarf_lineno(found, line) == 0 ? dw->dwarf_linesrc(found, NULL, NULL) : NULL;
    }
    return NULL;
}

static const char *source_of(const libdw *dw, Dwfl *dwfl, uintptr_t address, int *line)
{
    Dwarf_Addr at = address;
    Dwfl_Line *found = dw->dwfl_getsrc(dwfl, at);
    if (found) return dw->dwfl_lineinfo(found, &at, line, NULL, NULL, NULL);
    Dwfl_Module *module = dw->dwfl_addrmodule(dwfl, at);
    return module ? source_by_unit(dw, module, at, line) : NULL;
}

/* Length of the folder that the library's sources lie in, by the path of this file; 0 when it was built without -g. */
static size_t root_length(const char *own)
{
    const char *tail = own ? strstr(own, "core/call_stack.c") : NULL;
    return tail ? (size_t)(tail - own) : 0;
}

static bool is_own_source(const char *file, const char *own, size_t root)
{
    static const char *const folders[] = { "core/", "ops/", "nn/", "optim/" };
    if (root == 0 || strncmp(file, own, root) != 0) return false;
    for (int i = 0; i < 4; i++)
        if (strncmp(file + root, folders[i], strlen(folders[i])) == 0) return true;
    return false;
}

static void describe_symbol(const libdw *dw, Dwfl *dwfl, const reel_call_stack *stack, char *text)
{
    const char *names[REEL_CALL_STACK_FRAMES];
    bool own[REEL_CALL_STACK_FRAMES];
    const Dwfl_Module *mine = dw->dwfl_addrmodule(dwfl, (uintptr_t)reel_call_stack_capture);
    int n = 0;
    for (; n < REEL_CALL_STACK_FRAMES && stack->frame[n]; n++) {
        Dwfl_Module *module = dw->dwfl_addrmodule(dwfl, (uintptr_t)stack->frame[n] - 1);
        names[n] = module ? dw->dwfl_module_addrname(module, (uintptr_t)stack->frame[n] - 1) : NULL;
        own[n] = module == mine;
    }
    int user = find_users_frame(n, names, own);
    if (user >= 0) write_place(stack->frame[user], names[user], text);
}

/* The innermost frame with a line in a source that is not the library's; without lines, by the names of functions. */
static void describe_line(const reel_call_stack *stack, char *text)
{
    libdw dw;
    if (!load(&dw)) return;
    const Dwfl_Callbacks callbacks = { .find_elf = dw.dwfl_linux_proc_find_elf, .find_debuginfo = no_other_file };
    Dwfl *dwfl = dw.dwfl_begin(&callbacks);
    bool done = false;
    if (dwfl && dw.dwfl_linux_proc_report(dwfl, getpid()) == 0 && dw.dwfl_report_end(dwfl, NULL, NULL) == 0) {
        int line = 0;
        const char *own = source_of(&dw, dwfl, (uintptr_t)reel_call_stack_capture, &line);
        size_t root = root_length(own);
        for (int i = 0; i < REEL_CALL_STACK_FRAMES && stack->frame[i] && !done; i++) {
            uintptr_t call = (uintptr_t)stack->frame[i] - 1; /* before the address it returns to */
            Dwfl_Module *module = dw.dwfl_addrmodule(dwfl, call);
            const char *file = module ? source_of(&dw, dwfl, call, &line) : NULL;
            if (!file || is_own_source(file, own, root)) continue;
            const char *name = dw.dwfl_module_addrname(module, call);
            snprintf(text, REEL_CALL_STACK_TEXT, "%s%s%s:%d", name ? name : "", name ? " at " : "", file, line);
            done = true;
        }
        if (!done) describe_symbol(&dw, dwfl, stack, text);
    }
    if (dwfl) dw.dwfl_end(dwfl);
}
#endif

const char *reel_call_stack_describe(const reel_call_stack *stack, char text[REEL_CALL_STACK_TEXT])
{
    text[0] = 0;
#ifdef REEL_HAVE_LIBDW
    if (stack->frame[0]) describe_line(stack, text);
#endif
#ifdef REEL_HAVE_BACKTRACE
    if (stack->frame[0] && !*text) describe_address(stack, text);
#else
    (void)stack;
#endif
    return text;
}
