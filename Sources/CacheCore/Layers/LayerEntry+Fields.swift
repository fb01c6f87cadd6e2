extension LayerEntry {
    /// Permission bits, set-id and sticky bits: at most 0o7777.
    public var mode: UInt16 {
        get { permissions.mode }
        set { permissions.mode = newValue }
    }

    /// The number of the owning user.
    public var uid: UInt32 {
        get { permissions.uid }
        set { permissions.uid = newValue }
    }

    /// The number of the owning group.
    public var gid: UInt32 {
        get { permissions.gid }
        set { permissions.gid = newValue }
    }

    /// When its content changed last: seconds since 1970, rounded down.
    public var mtimeSeconds: Int64 {
        get { modificationTime.seconds }
        set { modificationTime.seconds = newValue }
    }

    /// 0 to 999,999,999 of the next second.
    public var mtimeNanoseconds: UInt32 {
        get { modificationTime.nanoseconds }
        set { modificationTime.nanoseconds = newValue }
    }
}
