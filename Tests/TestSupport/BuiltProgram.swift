import Foundation

/// The executables of this package.
package enum BuiltProgram {
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    /// The path of an executable, which is built beside the bundle of the tests.
    package static func path(_ name: String) throws -> String {
        // `swift test` names the bundle in an argument of a helper; started by itself, the bundle is the program.
        for start in CommandLine.arguments + ["/proc/self/exe"] {
            let directory = URL(fileURLWithPath: start).resolvingSymlinksInPath().deletingLastPathComponent()
            let candidate = directory.appendingPathComponent(name).path
            var isDirectory: ObjCBool = false
            if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue,
                FileManager.default.isExecutableFile(atPath: candidate)
            {
                return candidate
            }
        }
        throw Missing(description: "\(name) is not beside the tests (\(CommandLine.arguments))")
    }

    /// Whether a program of the system is there for a test to use.
    package static func isInstalled(_ name: String) -> Bool {
        let search = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return (search + ["/usr/sbin", "/sbin"]).contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
        }
    }
}
