package import CacheBase

/// The bytes of a file, with an error at their end if it was written to meanwhile: they may be a mixture of old and new
/// contents.
package final class SteadySource: ByteSource {
    private let source: any ByteSource
    private let file: OpenFile
    private let before: FileStatus
    private let sizeOnly: Bool

    /// - Parameters:
    ///   - source: reads `file`.
    ///   - before: what the file was when its size was taken.
    ///   - sizeOnly: its time says nothing.
    package init(_ source: any ByteSource, _ file: OpenFile, since before: FileStatus, sizeOnly: Bool) {
        self.source = source
        self.file = file
        self.before = before
        self.sizeOnly = sizeOnly
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        if count == 0 {
            guard try file.status().hasSameContents(as: before, sizeOnly: sizeOnly) else {
                throw CacheError.changed(file)
            }
        }
        return count
    }
}

extension CacheError {
    package static func changed(_ file: OpenFile) -> CacheError {
        CacheError(.conflict, "\(file.name) changed while it was read: push it again when nobody writes to it")
    }
}
