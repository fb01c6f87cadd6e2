// What glibc and Linux have beyond the Swift module Glibc.
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>

// fcntl.h shows it only to those who define _GNU_SOURCE before the first header of all.
int fallocate(int descriptor, int mode, off_t offset, off_t length);

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
