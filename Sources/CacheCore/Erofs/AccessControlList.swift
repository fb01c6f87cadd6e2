/// A POSIX access control list as `setxattr` takes it: a version, and eight bytes an entry (acl(5)).
struct AccessControlList {
    private(set) var bytes: [UInt8]

    private static let headerBytes = 4
    private static let entryBytes = 8

    private enum Tag: UInt16 {
        case owner = 0x01
        case user = 0x02
        case owningGroup = 0x04
        case group = 0x08
        case mask = 0x10
        case others = 0x20
    }

    /// `nil` for what the kernel refuses: entries out of order, missing or unknown ones.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard bytes.count >= Self.headerBytes, bytes[0] == 2, bytes[1...3].allSatisfy({ $0 == 0 }),
            (bytes.count - Self.headerBytes).isMultiple(of: Self.entryBytes)
        else { return nil }
        if isEmpty { return }
        // Each kind comes after these; the last column is whether there may be several.
        var last: Tag?
        var needsMask = false
        for place in places {
            guard let tag = tag(place), bytes[place + 2] <= 7, bytes[place + 3] == 0 else { return nil }
            let isAllowed: Bool
            switch tag {
            case .owner: isAllowed = last == nil
            case .user: isAllowed = last == .owner || last == .user
            case .owningGroup: isAllowed = last == .owner || last == .user
            case .group: isAllowed = last == .owningGroup || last == .group
            case .mask: isAllowed = last == .owningGroup || last == .group
            case .others:
                isAllowed = last == .mask || !needsMask && (last == .owningGroup || last == .group)
            }
            guard isAllowed else { return nil }
            if tag == .user || tag == .group {
                needsMask = true
                if bytes[place + 4..<place + 8].allSatisfy({ $0 == 0xFF }) { return nil }
            }
            last = tag
        }
        guard last == .others else { return nil }
    }

    private var places: StrideTo<Int> { stride(from: Self.headerBytes, to: bytes.count, by: Self.entryBytes) }

    private func tag(_ place: Int) -> Tag? { Tag(rawValue: UInt16(bytes[place]) | UInt16(bytes[place + 1]) << 8) }

    var isEmpty: Bool { bytes.count == Self.headerBytes }

    /// Whether it says no more than a mode does.
    var isMode: Bool { places.allSatisfy { [.owner, .owningGroup, .others].contains(tag($0)) } }

    /// Gives it the permissions of a mode, as the kernel does when the mode is set.
    mutating func setMode(_ mode: UInt16) {
        let hasMask = places.contains { tag($0) == .mask }
        for place in places {
            switch tag(place) {
            case .owner: bytes[place + 2] = UInt8(mode >> 6 & 7)
            case .owningGroup where !hasMask: bytes[place + 2] = UInt8(mode >> 3 & 7)
            case .mask: bytes[place + 2] = UInt8(mode >> 3 & 7)
            case .others: bytes[place + 2] = UInt8(mode & 7)
            default: break
            }
        }
    }
}
