"""What Scripts/structure holds the source tree to: every bound, name and exception in one place.

An exception is a line here with its reason; one that excuses nothing any more is reported, so that the lists only shrink.
"""

# Lines of a Swift file or of a script.
FILE_LINES = 400
# Columns of a Swift line; swift-format lets longer comments and string literals pass.
LINE_COLUMNS = 120
# Stored properties of one type, its extensions included: what has more is several things.
STORED_PROPERTIES = 12
# Parameters of one function that are written without a label: a reader of a call cannot tell more of them apart.
UNLABELLED_PARAMETERS = 4

# Targets that the first must not reach, whatever lies between: (target, its forbidden targets, why).
UNREACHABLE = [
    ("CacheServer", ("CacheManifests", "CacheLayers", "CacheImages", "CacheObjectStore", "CacheCore", "CacheClient"),
     "the daemon must not be able to know a key, a manifest, a layer or an image"),
    ("CacheServer", ("CacheErofs", "CacheDevice", "CacheAgent"), "the daemon mounts nothing"),
    ("CacheErofs", ("CacheManifests", "CacheImages", "CacheObjectStore", "CacheStore"),
     "the writer of EROFS works from the merged tree alone"),
    ("CacheDevice", ("CacheServer", "CacheAgent"), "devices are for every agent"),
    ("CacheAgent", ("CacheServer",), "a worker is no daemon"),
    ("CacheClient", ("CacheServer",), "a worker embeds the client alone"),
]

# The only folders that may import a module; a trailing part of a path below Sources, "" for none.
IMPORTERS = {
    "COpenSSL": ["CacheCore/Crypto"],
    "CSealing": ["CacheCore/Crypto"],
    "CLMDB": ["CacheCore/Store"],
    "CZstd": ["CacheCore/Chunks", "CacheCore/Images/Compression"],
    "CISAL": ["CacheCore/Images/Compression"],
    "CArchive": ["CacheCore/Images/Import"],
    "CLinux": ["CacheCore/Files", "CacheDevice/FUSE"],
    "Hummingbird": ["CacheServer/Control"],
    "AsyncHTTPClient": [],
    "NIOSSL": ["CacheAccess"],
    "ArgumentParser": ["layercache"],
    "Configuration": ["layercache"],
}

# Files that import such a module all the same: {path below Sources: {module: why}}.
IMPORT_EXCEPTIONS = {
}

# The only folder that may call the system.
SYSTEM_CALLS_FOLDER = "CacheCore/Files"

# Calls of the system elsewhere: {path below Sources, or a folder with a slash at its end: {call: why}}.
SYSTEM_CALL_EXCEPTIONS = {
}

# Types with more stored properties, and functions with more unlabelled parameters: {name: why}; a function is Type.name or name.
STORED_PROPERTY_EXCEPTIONS = {
    "ServerStatistics": "its properties are the names of /v1/stats, which readers know at that level",
    "L2NodeStatistics": "its properties are the names of a node in `stats DIR --json`, which readers know at that level",
}
UNLABELLED_PARAMETER_EXCEPTIONS = {
}

# Functions of POSIX and Linux by name. Those of the C library that only compute (memcpy, strlen) are free to all.
SYSTEM_CALLS = frozenset("""
    abort accept accept4 access alarm atexit bind chdir chmod chown clearenv clock_getres clock_gettime clock_nanosleep close
    closedir connect copy_file_range creat daemon dirfd dup dup2 dup3 epoll_create1 epoll_ctl epoll_wait eventfd execv execve
    execvp exit _exit explicit_bzero faccessat fadvise fallocate fchdir fchmod fchmodat fchown fchownat fclose fcntl fdatasync
    fdopen fdopendir fflush fgetxattr fileno flistxattr flock fopen fork fputs fread fremovexattr fseek fsetxattr fstat fstatat
    fstatfs fstatvfs fsync ftello ftruncate futimens futimes fwrite getaddrinfo getcwd getdents64 getegid getentropy getenv geteuid
    getgid getgroups gethostname getifaddrs getpagesize getpgid getpgrp getpid getppid getpwuid getpwuid_r getrandom getrlimit
    getrusage getsockname getsockopt gettid gettimeofday getuid getxattr inotify_init1 ioctl isatty kill killpg lchown lgetxattr
    link linkat listen listxattr llistxattr lockf lremovexattr lseek lsetxattr lstat madvise mincore mkdir mkdirat mkdtemp mkfifo
    mkfifoat mknod mknodat mkostemp mkstemp mlock mmap mprotect mremap msync munlock munmap nanosleep open open64 open_memstream
    openat opendir pathconf pause pclose perror pipe pipe2 poll popen posix_fadvise posix_fallocate posix_memalign posix_spawn
    posix_spawnp ppoll prctl pread preadv prlimit pthread_atfork pthread_attr_destroy pthread_attr_init pthread_attr_setdetachstate
    pthread_attr_setstacksize pthread_create pthread_detach pthread_exit pthread_getspecific pthread_join pthread_key_create
    pthread_kill pthread_self pthread_setname_np pthread_setspecific pthread_sigmask ptrace putenv pwrite pwritev quick_exit
    raise read readahead readdir readdir_r readlink readlinkat readv realpath recv recvfrom recvmsg removexattr rename renameat
    renameat2 rewinddir rmdir sched_getaffinity sched_setaffinity sched_yield select sem_init sem_post sem_wait send sendfile
    sendmsg sendto setenv setgid setgroups setpgid setpriority setrlimit setsid setsockopt setuid setvbuf setxattr shm_open
    shutdown sigaction sigaddset sigdelset sigemptyset sigfillset sigismember signal signalfd sigprocmask sigsuspend
    sigtimedwait sigwait sigwaitinfo sleep socket socketpair splice stat statfs statvfs statx strsignal symlink symlinkat sync
    sync_file_range syncfs syscall sysconf sysinfo system tcgetattr tcsetattr tgkill timer_create timerfd_create tmpfile truncate
    umask uname unlink unlinkat unsetenv usleep utimensat utimes vfork wait3 wait4 waitid waitpid write writev
    mallopt malloc_trim mallinfo2 sigsetjmp siglongjmp setjmp longjmp
    layercache_lsetxattrat layercache_send_to_path unshare setns close_range
""".split())

# What documents set in `code` that looks like a type of ours and is none: {word: what it is}.
DOCUMENT_NAMES = {
    "ByteBuffer": "of swift-nio",
}
