internal import CacheBase
internal import CacheFiles

extension OCILayoutMarker {
    static let current = OCILayoutMarker(imageLayoutVersion: "1.0.0")

    /// Whether a layout has its marker. A damaged one is none.
    /// - Throws: `.unsupported` if it is of a version whose files may mean something else.
    static func check(_ files: LayoutFiles, limits: ImportLimits) throws -> Bool {
        guard let range = try files.find("oci-layout") else { return false }
        let bytes = try range.readDocument(limits.json)
        let marker: OCILayoutMarker
        do {
            marker = try JSONDocument.decode(
                OCILayoutMarker.self, from: bytes, name: range.file.name, limits: limits.json)
        } catch let error as CacheError where error.code == .invalidInput {
            return false
        }
        guard marker.imageLayoutVersion.utf8.starts(with: "1.".utf8) else {
            throw CacheError(
                .unsupported,
                "\(files.name) is an OCI layout of version \(marker.imageLayoutVersion.debugDescription); this build "
                    + "knows version 1: name another directory"
            )
        }
        return true
    }
}
