/* Preloaded into a writer: records what it does to the files under one directory, in the order it does it.
 *
 * What it is not: a file system. It passes every call on and changes nothing; the images of a power cut are built from
 * the record afterwards. Calls that it does not know leave no trace, so the test also compares the final files.
 *
 * KEMBALI_TRACE_DIR    the directory that is watched
 * KEMBALI_TRACE_FILE   where the record goes
 * KEMBALI_TRACE_MARKS  a file whose writes are recorded as marks
 *
 * One entry: kind u8, id u64, number i64, path length u16, path, data length u32, data; little-endian. A call has an
 * entry when it starts (upper case) and one with the same id when it has returned (lower case, number = its result).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 4096
#define PATH_BYTES_MAX 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace_fd = -1;
static char dir[PATH_BYTES_MAX], marks[PATH_BYTES_MAX];
static uint64_t last_id;
static int under_way;
/* The watched path behind a descriptor; "" is the directory itself; 0 when it is not watched. */
static char *watched[FDS_MAX];
static char is_mark[FDS_MAX];

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *d = getenv("KEMBALI_TRACE_DIR"), *f = getenv("KEMBALI_TRACE_FILE"), *m = getenv("KEMBALI_TRACE_MARKS");
    if (!d || !f || !m) return;
    snprintf(dir, sizeof dir, "%s", d);
    snprintf(marks, sizeof marks, "%s", m);
    int fd = syscall(SYS_openat, AT_FDCWD, f, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    /* A second process may go on with the trace of the first, and must not end its calls. */
    last_id = (uint64_t)getpid() << 32;
    trace_fd = fcntl(fd, F_DUPFD_CLOEXEC, FDS_MAX);
    if (trace_fd < 0) trace_fd = fd;
    else syscall(SYS_close, fd);
}

static void put(const void *from, size_t n) {
    for (const char *at = from; n;) {
        long done = syscall(SYS_write, trace_fd, at, n);
        if (done <= 0) _exit(99);
        at += done, n -= done;
    }
}

static uint64_t record(char kind, uint64_t id, int64_t number, const char *path, const void *data, uint32_t n) {
    int error = errno;
    char head[19];
    uint16_t length = strlen(path);
    pthread_mutex_lock(&lock);
    if (!id && kind != 'M') under_way++;
    if (!id) id = ++last_id;
    else under_way--;
    head[0] = kind;
    memcpy(head + 1, &id, 8), memcpy(head + 9, &number, 8), memcpy(head + 17, &length, 2);
    put(head, sizeof head), put(path, length), put(&n, 4);
    if (n) put(data, n);
    pthread_mutex_unlock(&lock);
    errno = error;
    return id;
}

static void ended(char kind, uint64_t id, int64_t result) { record(kind, id, result, "", 0, 0); }

/* A process that exits amid the calls of another thread ends them first, so that the trace says what has happened; the
 * lock stays taken, and no further call begins. */
__attribute__((destructor)) static void end(void) {
    for (;;) {
        pthread_mutex_lock(&lock);
        if (trace_fd < 0 || under_way == 0) return;
        pthread_mutex_unlock(&lock);
        sched_yield();
    }
}

/* Copies of generations are scratch: they are opened, thrown away, and nothing rests on them. */
static const char *watch(const char *path) {
    size_t n = strlen(dir);
    if (trace_fd < 0 || !n || strncmp(path, dir, n) || (path[n] && path[n] != '/')) return 0;
    while (path[n] == '/') n++;
    return strncmp(path + n, "check-", 6) ? path + n : 0;
}

static const char *of(int fd) { return 0 <= fd && fd < FDS_MAX ? watched[fd] : 0; }

/* Joins a path to the directory behind `at`, as the *at calls do. */
static const char *resolve(int at, const char *path, char *into) {
    char link[64];
    if (path[0] == '/' || at == AT_FDCWD) return path;
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, into, PATH_BYTES_MAX - 1);
    if (n < 0) return path;
    snprintf(into + n, PATH_BYTES_MAX - n, "/%s", path);
    return into;
}

static int opened(int at, const char *given, int flags, mode_t mode) {
    char space[2 * PATH_BYTES_MAX];
    const char *full = resolve(at, given, space), *path = watch(full);
    struct stat found;
    int existed = stat(full, &found) == 0, mark = trace_fd >= 0 && marks[0] && !strcmp(full, marks);
    uint64_t id = 0;
    if (path && (flags & O_CREAT) && !existed) id = record('C', 0, 0, path, 0, 0);
    if (path && (flags & O_TRUNC) && existed) id = record('T', 0, 0, path, 0, 0);
    int fd = syscall(SYS_openat, at, given, flags, mode);
    if (id) ended(existed ? 't' : 'c', id, fd < 0 ? -1 : 0);
    if (0 <= fd && fd < FDS_MAX) {
        free(watched[fd]);
        watched[fd] = path ? strdup(path) : 0;
        is_mark[fd] = mark;
    }
    return fd;
}

#define OPEN(name, first, at) \
    int name(first const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        return opened(at, path, flags, mode); \
    }
#define NOTHING
#define FIRST_DIR int base,
OPEN(open, NOTHING, AT_FDCWD)
OPEN(open64, NOTHING, AT_FDCWD)
OPEN(openat, FIRST_DIR, base)
OPEN(openat64, FIRST_DIR, base)

int close(int fd) {
    if (0 <= fd && fd < FDS_MAX) free(watched[fd]), watched[fd] = 0, is_mark[fd] = 0;
    return syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    NEXT(pwrite64);
    const char *path = of(fd);
    if (!path) return next(fd, data, n, at);
    uint64_t id = record('W', 0, at, path, data, n);
    ssize_t done = next(fd, data, n, at);
    ended('w', id, done);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t write(int fd, const void *data, size_t n) {
    const char *path = of(fd);
    if (0 <= fd && fd < FDS_MAX && is_mark[fd]) record('M', 0, 0, "", data, n);
    if (!path) return syscall(SYS_write, fd, data, n);
    uint64_t id = record('W', 0, lseek(fd, 0, SEEK_CUR), path, data, n);
    ssize_t done = syscall(SYS_write, fd, data, n);
    ended('w', id, done);
    return done;
}

int ftruncate64(int fd, off64_t to) {
    NEXT(ftruncate64);
    const char *path = of(fd);
    if (!path) return next(fd, to);
    uint64_t id = record('T', 0, to, path, 0, 0);
    int result = next(fd, to);
    ended('t', id, result);
    return result;
}
int ftruncate(int fd, off_t to) { return ftruncate64(fd, to); }

#define SYNC(name) \
    int name(int fd) { \
        NEXT(name); \
        const char *path = of(fd); \
        if (!path) return next(fd); \
        uint64_t id = record('S', 0, 0, path, 0, 0); \
        int result = next(fd); \
        ended('s', id, result); \
        return result; \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    NEXT(rename);
    const char *a = watch(from), *b = watch(to);
    if (!a || !b) return next(from, to);
    uint64_t id = record('R', 0, 0, a, b, strlen(b));
    int result = next(from, to);
    ended('r', id, result);
    return result;
}

static int removed(int at, const char *given, int flags) {
    char space[2 * PATH_BYTES_MAX];
    const char *path = watch(resolve(at, given, space));
    if (!path) return syscall(SYS_unlinkat, at, given, flags);
    uint64_t id = record('U', 0, 0, path, 0, 0);
    int result = syscall(SYS_unlinkat, at, given, flags);
    ended('u', id, result);
    return result;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }
int unlinkat(int at, const char *path, int flags) { return removed(at, path, flags); }

int mkdir(const char *given, mode_t mode) {
    NEXT(mkdir);
    const char *path = watch(given);
    if (!path) return next(given, mode);
    uint64_t id = record('D', 0, 0, path, 0, 0);
    int result = next(given, mode);
    ended('d', id, result);
    return result;
}
