/// One mount, as a line of `/proc/PID/mountinfo` tells of it (proc(5)).
package struct MountEntry: Sendable, Equatable {
    /// Its number, which another one may get once it is gone, and that of the mount that it stands on.
    package let id: Int
    package let parent: Int
    /// The numbers of the filesystem's device: what `st_dev` of its files is made of.
    package let deviceMajor: Int
    package let deviceMinor: Int
    /// The directory of the filesystem that is shown, `/` for all of it.
    package let root: FileName
    /// Where it is mounted.
    package let target: FileName
    /// Options of the mount: `rw,nosuid`.
    package let options: String
    /// Whether it gets what others mount below it elsewhere, and gives nothing back (`MS_SLAVE`).
    package let isSlave: Bool
    package let type: String
    package let source: FileName
    /// Options of the filesystem, whoever mounts it.
    package let superOptions: String

    /// - Parameter line: without its end; `nil` for what is no line of that file.
    package init?(line: some Sequence<UInt8>) {
        let fields = Array(line).split(separator: UInt8(ascii: " "))
        // Optional fields lie between the sixth and a lone dash.
        guard let dash = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual("-".utf8) }),
            fields.count >= dash + 4
        else { return nil }
        let device = Self.text(fields[2]).split(separator: ":").compactMap { Int($0) }
        guard let id = Int(Self.text(fields[0])), let parent = Int(Self.text(fields[1])), device.count == 2 else {
            return nil
        }
        (self.id, self.parent, deviceMajor, deviceMinor) = (id, parent, device[0], device[1])
        root = Self.name(fields[3])
        target = Self.name(fields[4])
        options = Self.text(fields[5])
        isSlave = fields[6..<dash].contains { $0.starts(with: "master:".utf8) }
        type = Self.text(fields[dash + 1])
        source = Self.name(fields[dash + 2])
        superOptions = Self.text(fields[dash + 3])
    }

    /// How its filesystem is named in `/sys/class/bdi`.
    package var backingDevice: String { "\(deviceMajor):\(deviceMinor)" }

    private static func text(_ field: some Sequence<UInt8>) -> String { String(decoding: Array(field), as: UTF8.self) }

    /// Blanks, tabs, line ends and backslashes are written as a backslash and three octal digits.
    private static func name(_ field: ArraySlice<UInt8>) -> FileName {
        var bytes: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return FileName(bytes: bytes)
    }
}
