internal import CLinux

/// How the calling thread stands against others.
package enum ThreadPriority {
    /// Has it run, and its reads of disks wait, when others leave room. Where the system does not allow that, it stays
    /// as it is.
    package static func giveWay() {
        layercache_give_way()
    }
}
