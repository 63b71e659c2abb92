/* Preloaded before libc: counts the file operations below one folder, and lets one of them fail.

   What the interpreter, Arrow, Polars and DuckDB do all goes through here. fault_arm(folder, at, kind) counts anew:
   the operation numbered `at` fails with the error number `kind`, or with a negative kind the signal -kind is delivered
   before it is done. Other processes than the one that armed it are left alone. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static atomic_long count, at;
static int kind;
static pid_t owner;

void fault_arm(const char *below, long number, int what) {
    strncpy(folder, below, sizeof folder - 1);
    atomic_store(&count, 0);
    kind = what;
    owner = getpid();
    atomic_store(&at, number);
}

long fault_count(void) { return atomic_load(&count); }

static int is_below(int base, const char *path) {
    char whole[PATH_MAX * 2];
    if (!folder[0] || owner != getpid()) return 0;
    if (path && path[0] == '/') return !strncmp(path, folder, strlen(folder));
    if (base == AT_FDCWD) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", base);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0) return 0;
    whole[length] = 0;
    return !strncmp(whole, folder, strlen(folder));
}

/* Whether this operation is to fail; errno is set then. */
static int fails(int base, const char *path) {
    int before = errno;
    if (!is_below(base, path)) { errno = before; return 0; }
    errno = before;
    if (atomic_fetch_add(&count, 1) + 1 != atomic_load(&at)) return 0;
    if (kind < 0) { raise(-kind); return 0; }
    errno = kind;
    return 1;
}

#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static mode_t mode_of(int flags, va_list list) {
    return (flags & (O_CREAT | O_TMPFILE)) ? (mode_t)va_arg(list, int) : 0;
}

#define OPEN(symbol) \
    int symbol(const char *path, int flags, ...) { \
        NEXT(int, #symbol, const char *, int, ...); \
        va_list list; va_start(list, flags); mode_t mode = mode_of(flags, list); va_end(list); \
        return fails(AT_FDCWD, path) ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(symbol) \
    int symbol(int base, const char *path, int flags, ...) { \
        NEXT(int, #symbol, int, const char *, int, ...); \
        va_list list; va_start(list, flags); mode_t mode = mode_of(flags, list); va_end(list); \
        return fails(base, path) ? -1 : next(base, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

DIR *opendir(const char *path) {
    NEXT(DIR *, "opendir", const char *);
    return fails(AT_FDCWD, path) ? 0 : next(path);
}

ssize_t read(int file, void *data, size_t size) {
    NEXT(ssize_t, "read", int, void *, size_t);
    return fails(file, 0) ? -1 : next(file, data, size);
}

ssize_t write(int file, const void *data, size_t size) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    return fails(file, 0) ? -1 : next(file, data, size);
}

ssize_t writev(int file, const struct iovec *data, int parts) {
    NEXT(ssize_t, "writev", int, const struct iovec *, int);
    return fails(file, 0) ? -1 : next(file, data, parts);
}

#define PWRITE(symbol, offset_t) \
    ssize_t symbol(int file, const void *data, size_t size, offset_t offset) { \
        NEXT(ssize_t, #symbol, int, const void *, size_t, offset_t); \
        return fails(file, 0) ? -1 : next(file, data, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define OF_FILE(symbol) \
    int symbol(int file) { \
        NEXT(int, #symbol, int); \
        return fails(file, 0) ? -1 : next(file); \
    }
OF_FILE(fsync)
OF_FILE(fdatasync)

#define OF_PATH(symbol) \
    int symbol(const char *path) { \
        NEXT(int, #symbol, const char *); \
        return fails(AT_FDCWD, path) ? -1 : next(path); \
    }
OF_PATH(unlink)
OF_PATH(rmdir)

int unlinkat(int base, const char *path, int flags) {
    NEXT(int, "unlinkat", int, const char *, int);
    return fails(base, path) ? -1 : next(base, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(int, "mkdir", const char *, mode_t);
    return fails(AT_FDCWD, path) ? -1 : next(path, mode);
}

int mkdirat(int base, const char *path, mode_t mode) {
    NEXT(int, "mkdirat", int, const char *, mode_t);
    return fails(base, path) ? -1 : next(base, path, mode);
}

#define TO_PATH(symbol) \
    int symbol(const char *from, const char *to) { \
        NEXT(int, #symbol, const char *, const char *); \
        return fails(AT_FDCWD, to) ? -1 : next(from, to); \
    }
TO_PATH(rename)
TO_PATH(link)

int renameat(int from_base, const char *from, int base, const char *to) {
    NEXT(int, "renameat", int, const char *, int, const char *);
    return fails(base, to) ? -1 : next(from_base, from, base, to);
}

int linkat(int from_base, const char *from, int base, const char *to, int flags) {
    NEXT(int, "linkat", int, const char *, int, const char *, int);
    return fails(base, to) ? -1 : next(from_base, from, base, to, flags);
}
