// What glibc and Linux have beyond the Swift module Glibc.
#include <linux/falloc.h>
#include <malloc.h>
#include <sys/types.h>

// fcntl.h shows it only to those who define _GNU_SOURCE before the first header of all.
int fallocate(int descriptor, int mode, off_t offset, off_t length);
