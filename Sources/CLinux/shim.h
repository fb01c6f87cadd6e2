// What glibc and Linux have beyond the Swift module Glibc.
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/xattr.h>

// fcntl.h shows it only to those who define _GNU_SOURCE before the first header of all.
int fallocate(int descriptor, int mode, off_t offset, off_t length);
// The same of sys/uio.h.
struct iovec;
ssize_t preadv2(int descriptor, const struct iovec *places, int count, off_t offset, int flags);
enum { layercache_rwf_nowait = 0x8 };
// The same of sched.h and unistd.h.
int unshare(int flags);
int setns(int descriptor, int kind);
int close_range(unsigned int first, unsigned int last, int flags);

// setxattrat(2) of Linux 6.13, for an entry of an open directory and never through a link; glibc has no function for it yet. ENOSYS before.
long syscall(long number, ...);
static inline int layercache_lsetxattrat(
    int directory, const char *entry, const char *name, const void *value, size_t size) {
    struct {
        uint64_t value;
        uint32_t size;
        uint32_t flags;
    } arguments __attribute__((aligned(8))) = {(uintptr_t)value, (uint32_t)size, 0};
    const long setxattrat = 463;
    const unsigned nofollow = 0x100;
    return (int)syscall(setxattrat, directory, entry, nofollow, name, &arguments, sizeof arguments);
}

// cachestat(2) of Linux 6.5: how many pages of a range of a file are in the page cache; glibc has no function for it yet. -1 and ENOSYS before.
static inline long layercache_cached_pages(int descriptor, uint64_t offset, uint64_t length) {
    struct {
        uint64_t offset, length;
    } range = {offset, length};
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } found;
    const long cachestat = 451;
    return syscall(cachestat, descriptor, &range, &found, 0) == 0 ? (long)found.cached : -1;
}

// sendmsg(2) of a text, and of an open file unless that is -1, to the socket of a path (or of an abstract name, which begins with '@'): the
// CMSG macros do not reach Swift. -1 and EINVAL for a path that is too long.
static inline ssize_t layercache_send_to_path(
    int descriptor, const char *path, const void *text, size_t size, int file) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = 0;
    struct iovec part = {(void *)text, size};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {0};
    message.msg_name = &address;
    message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (file >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    }
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

// The calling thread alone: a lower share of the processor, and the disk when nobody else wants it (ioprio_set(2), for which glibc has no
// function). What is not allowed stays as it is.
static inline void layercache_give_way(void) {
    const int process = 1, idle = 3 << 13;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    syscall(SYS_ioprio_set, process, 0, idle);
}
