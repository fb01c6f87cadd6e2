#include <archive.h>
#include <archive_entry.h>
// What an archive says of a file that Glibc's module leaves out: extended attributes and device numbers.
#include <sys/sysmacros.h>
#include <sys/xattr.h>
