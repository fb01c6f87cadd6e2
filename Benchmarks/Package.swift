// swift-tools-version:6.2
import PackageDescription

// Its own package, so that nobody who embeds the library builds it. The binary that cases `l2-get` to `pull` run is the
// one of the package above (Scripts/bench builds both).
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "layercache-benchmarks",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "layercache-bench", targets: ["layercache-bench"])],
    dependencies: [
        .package(name: "layercache", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // The yardstick calls the libraries bare, past everything of ours.
        .systemLibrary(name: "BareCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "BareZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .executableTarget(
            name: "layercache-bench",
            dependencies: [
                "BareCrypto", "BareZstd",
                .product(name: "CacheClient", package: "layercache"),
                .product(name: "CacheCore", package: "layercache"),
                .product(name: "CacheClient", package: "layercache"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),
    ]
)
