internal import CLinux
internal import Glibc

/// Files that are mapped into the process's memory.
package enum MappedMemory {
    /// Lets go of the pages of a map that is shared and read-only: nothing is lost, and who reads in it faults them in
    /// again.
    ///
    /// - Parameter start: on a page's border; the range must be mapped.
    package static func releasePages(_ start: UInt, bytes: Int) {
        madvise(UnsafeMutableRawPointer(bitPattern: start), bytes, MADV_DONTNEED)
    }

    /// Where a file is mapped, found by its device and number in the kernel's list; `nil` if it is not, if the list
    /// cannot be read, or where it names another device, as some layered file systems do.
    /// - Parameter suffix: what the file's path must contain: numbers of files begin anew on each tmpfs.
    package static func region(of file: FileStatus.Identity, pathWith suffix: String) -> MapGuard.Region? {
        let device = [UInt32(gnu_dev_major(UInt(file.device))), UInt32(gnu_dev_minor(UInt(file.device)))]
        guard let maps = fopen("/proc/self/maps", "re") else { return nil }
        defer { fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, maps) > 0, let text = line.map({ String(cString: $0) }) {
            // start-end rights offset device inode path.
            let fields = text.split(maxSplits: 5, whereSeparator: \.isWhitespace)
            guard fields.count == 6, fields[4] == "\(file.inode)", fields[5].contains(suffix),
                fields[3].split(separator: ":").map({ UInt32($0, radix: 16) }) == device
            else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2, ends[0] < ends[1] { return MapGuard.Region(start: ends[0], bytes: ends[1] - ends[0]) }
        }
        return nil
    }
}
