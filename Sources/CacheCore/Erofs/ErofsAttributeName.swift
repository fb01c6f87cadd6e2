internal import CacheFiles
internal import CacheLayers

/// The prefix of an attribute's name, which EROFS keeps as a number, and what Linux takes under it.
struct ErofsAttributeName {
    let index: UInt8
    let prefixLength: Int

    private enum Kind { case user, trusted, security, capability, overlayfs, accessList, defaultList }
    private let kind: Kind

    /// Why an attribute is not written.
    enum Refusal {
        case reason(ErofsNotes.Reason)
        /// The inode says the same without it.
        case needless

        var note: ErofsNotes.Reason? {
            if case .reason(let reason) = self { reason } else { nil }
        }
    }

    private static let prefixes: [(text: [UInt8], index: UInt8, kind: Kind)] = [
        (Array("user.".utf8), 1, .user), (Array("trusted.".utf8), 4, .trusted), (Array("security.".utf8), 6, .security),
    ]
    private static let accessList = Array("system.posix_acl_access".utf8)
    private static let defaultList = Array("system.posix_acl_default".utf8)
    private static let capability = Array("security.capability".utf8)
    /// What overlayfs above the image would take for its own.
    private static let overlayfs = Array("trusted.overlay.".utf8)

    /// `nil` for a name that the kernel has no handler for.
    init?(_ name: FileName) {
        let name = name.bytes
        if name == Self.accessList {
            (index, prefixLength, kind) = (2, name.count, .accessList)
        } else if name == Self.defaultList {
            (index, prefixLength, kind) = (3, name.count, .defaultList)
        } else if let known = Self.prefixes.first(where: { name.starts(with: $0.text) && name.count > $0.text.count }) {
            (index, prefixLength) = (known.index, known.text.count)
            kind =
                name == Self.capability ? .capability : name.starts(with: Self.overlayfs) ? .overlayfs : known.kind
        } else {
            return nil
        }
    }

    /// Why Linux would not take the attribute; `nil` if it would. An access list is made to agree with the mode, which
    /// is set after it.
    func refusal(of value: inout [UInt8], for inode: ImageTree.Inode) -> Refusal? {
        switch kind {
        case .trusted, .security: return nil
        case .overlayfs: return .reason(.attributeOfOverlayfs)
        case .user: return inode.kind == .file || inode.kind == .directory ? nil : .reason(.attributePlace)
        case .capability: return Self.isCapability(value) ? nil : .reason(.attributeValue)
        case .accessList, .defaultList:
            guard inode.kind != .symbolicLink, kind == .accessList || inode.kind == .directory else {
                return .reason(.attributePlace)
            }
            guard var list = AccessControlList(value) else { return .reason(.attributeValue) }
            if list.isEmpty { return .needless }
            if kind == .defaultList { return nil }
            if list.isMode { return .needless }
            list.setMode(inode.mode)
            value = list.bytes
            return nil
        }
    }

    /// Whether these are the capabilities of a file, version 2 or 3 (capabilities(7)).
    private static func isCapability(_ value: [UInt8]) -> Bool {
        guard value.count >= 4, value[0] & 0xFE == 0, value[1] == 0, value[2] == 0 else { return false }
        return value[3] == 2 && value.count == 20 || value[3] == 3 && value.count == 24
    }
}
