// Types that these headers share with Glibc must stay Glibc's: which module Swift takes `stat` from would else depend on
// the order in which it happens to compile files.
#pragma clang module import SwiftGlibc
#include <archive.h>
#include <archive_entry.h>
// What an archive says of a file that Glibc's module leaves out: extended attributes and device numbers.
#include <sys/sysmacros.h>
#include <sys/xattr.h>
