import Foundation

/// The project's own files, which some tests compare with what the binary does.
enum Project {
    static let directory = URL(fileURLWithPath: #filePath).appending(path: "../../../..").standardized.path

    static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(directory)/\(path)", encoding: .utf8)
    }
}
