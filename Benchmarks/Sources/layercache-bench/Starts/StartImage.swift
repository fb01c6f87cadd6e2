import Foundation

/// An image and a program in it whose start is measured.
struct StartImage {
    let name: String
    /// `DIR:TAG` of its OCI layout.
    let source: String
    /// What runs in the image's root.
    let command: [String]
    /// How many times as fast as skopeo and umoci its first output must be.
    let speedup: Double?

    /// - Parameter option: `NAME=DIR:TAG`, as `--start` takes it; the name says which program runs.
    init(option: String) throws {
        guard let equals = option.firstIndex(of: "=") else {
            throw BenchError("--start '\(option)' is not NAME=DIR:TAG")
        }
        let name = String(option[..<equals])
        guard let (program, speedup) = Self.programs[name] else {
            throw BenchError(
                "--start \(name): there is a program for \(Self.programs.keys.sorted().joined(separator: ", "))")
        }
        self.init(
            name: name, source: String(option[option.index(after: equals)...]),
            command: ["/usr/bin/python3", "-c", program], speedup: speedup)
    }

    private init(name: String, source: String, command: [String], speedup: Double?) {
        self.name = name
        self.source = source
        self.command = command
        self.speedup = speedup
    }

    /// Where `--start` paths lead is the caller's business.
    func at(_ absolute: (String) -> String) -> StartImage {
        StartImage(name: name, source: absolute(source), command: command, speedup: speedup)
    }

    /// The command that runs the program with `root` as its root directory.
    func command(in root: String) -> [String] { [installed("chroot") ?? "chroot", root] + command }

    private static let programs: [String: (String, Double?)] = [
        "small": ("print(1)", nil),
        "middle": (
            """
            import numpy, scipy.linalg
            print(scipy.linalg.det(numpy.eye(3)))
            """, 4
        ),
        "large": (
            """
            import pandas, pyarrow
            print(pyarrow.Table.from_pandas(pandas.DataFrame({"a": [1, 2]})).num_rows)
            """, 15
        ),
    ]
}
