// swift-tools-version:6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

// Products of the packages this one stands on, each named once.
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")

/// A room of CacheCore: module CacheNAME in Sources/CacheCore/NAME.
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: "Cache\(name)", dependencies: dependencies, path: "Sources/CacheCore/\(name)", swiftSettings: settings)
}

let package = Package(
    name: "layercache",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "CacheCore", targets: ["CacheCore"]),
        .library(name: "CacheServer", targets: ["CacheServer"]),
        .library(name: "CacheClient", targets: ["CacheClient"]),
        .library(name: "CacheDevice", targets: ["CacheDevice"]),
        .library(name: "CacheAgent", targets: ["CacheAgent"]),
        .executable(name: "layercache", targets: ["layercache"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    ],
    targets: [
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CSealing"),
        .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        // The rooms of CacheCore, from the ground up. Each may use those that it names and no other.
        room("Base", [nioCore, nioPosix, nioConcurrency]),
        room("Crypto", ["COpenSSL", "CSealing"]),
        room("Files", ["CacheBase", "CacheCrypto", "CLinux", nioCore, nioPosix, nioConcurrency, logging]),
        room("Chunks", ["CacheBase", "CacheCrypto", "CZstd", nioPosix]),
        room(
            "Store",
            [
                "CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CLMDB", nioCore, nioPosix, nioConcurrency,
                logging,
            ]),
        room("ObjectStore", ["CacheBase", "CacheCrypto", "CacheFiles", nioCore, nioPosix, nioConcurrency]),
        room("Manifests", ["CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CacheObjectStore", nioCore]),
        room("Layers", ["CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", nioCore, nioConcurrency]),
        room("Erofs", ["CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CacheLayers", nioCore]),
        room(
            "Images",
            [
                "CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CacheManifests", "CacheLayers", "CArchive",
                "CISAL", "CZstd", nioCore, nioConcurrency,
            ]),
        // Push, and what users import: all rooms at once.
        .target(
            name: "CacheCore",
            dependencies: [
                "CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CacheStore", "CacheObjectStore",
                "CacheManifests", "CacheLayers", "CacheErofs", "CacheImages", nioCore, nioPosix, nioConcurrency,
            ],
            path: "Sources/CacheCore/Core", swiftSettings: settings),
        // Who may speak with whom: tokens and TLS, for both ends of L2.
        .target(
            name: "CacheAccess",
            dependencies: [
                "CacheBase", "CacheCrypto", "CacheFiles", nioCore, nioPosix, nioTLS, nioSSL, nioConcurrency, logging,
            ],
            swiftSettings: settings
        ),
        // What people look at: HTML, style and script, compiled in.
        .target(
            name: "CachePage", dependencies: ["CacheCrypto"],
            resources: ["page.html", "style.css", "numbers.js", "drawings.js", "page.js"].map {
                .embedInCode("Parts/\($0)")
            },
            swiftSettings: settings
        ),
        .target(
            name: "CacheServer",
            dependencies: [
                // Neither keys nor manifests, layers or images.
                "CacheBase", "CacheCrypto", "CacheFiles", "CacheChunks", "CacheStore", "CacheAccess", "CachePage",
                nioCore, nioPosix, nioHTTP1, nioConcurrency, httpTypes, logging, lifecycle, hummingbird,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "CacheClient",
            dependencies: [
                "CacheCore", "CacheAccess", nioCore, nioPosix, nioHTTP1, nioConcurrency, logging, metrics, lifecycle,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "CacheDevice",
            dependencies: [
                "CacheCore", "CacheFiles", "CacheClient", "CLinux", nioCore, nioPosix, nioConcurrency, logging,
                lifecycle,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "CacheAgent",
            dependencies: [
                "CacheCore", "CacheFiles", "CacheClient", "CacheDevice", nioCore, nioPosix, nioHTTP1, nioConcurrency,
                logging,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "layercache",
            dependencies: [
                "CacheCore", "CacheAccess", "CacheServer", "CacheClient", "CacheDevice", "CacheAgent", nioCore,
                arguments, configuration, logging, lifecycle, signals,
            ],
            swiftSettings: settings
        ),
        // What several test targets use: one of each clock, store with faults, starter of processes and the like.
        .target(
            name: "TestSupport",
            dependencies: ["CacheCore", "CacheServer", nioCore, nioConcurrency, logging, lifecycle],
            path: "Tests/TestSupport", swiftSettings: settings),
        // The tests' other process: uses a chunk store beside the tests, is killed by them, and tries damaged stores.
        .executableTarget(
            name: "store-exerciser", dependencies: ["CacheCore", "TestSupport", nioCore, logging],
            path: "Tests/StoreExerciser", swiftSettings: settings),
        // The same for object stores and keyrings.
        .executableTarget(
            name: "object-exerciser", dependencies: ["CacheCore", nioCore], path: "Tests/ObjectExerciser",
            swiftSettings: settings),
        // Answers FUSE beside the tests, which kill it and have another one go on.
        .executableTarget(
            name: "fuse-exerciser",
            dependencies: ["CacheDevice", "CacheClient", "CacheCore", "CacheFiles", "TestSupport", nioCore, logging],
            path: "Tests/FuseExerciser", swiftSettings: settings),
        .testTarget(
            name: "CacheCoreTests",
            dependencies: [
                "CacheCore", "CacheCrypto", "CacheFiles", "CacheStore", "CacheObjectStore", "CacheManifests",
                "CacheErofs", "CZstd", "TestSupport", "store-exerciser", "object-exerciser", nioCore, nioPosix, logging,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CacheAccessTests",
            dependencies: [
                "CacheAccess", "CacheCore", "CacheFiles", "TestSupport", nioCore, nioConcurrency, logging,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CacheServerTests",
            dependencies: [
                "CacheServer", "CacheAccess", "CachePage", "CacheCore", "TestSupport", nioCore, nioPosix, nioHTTP1,
                nioEmbedded, logging, httpClient, lifecycle,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CacheClientTests",
            dependencies: [
                "CacheClient", "CacheAccess", "CacheCore", "CacheServer", "TestSupport", nioCore, nioPosix, nioHTTP1,
                logging, lifecycle,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CacheDeviceTests",
            dependencies: [
                "CacheDevice", "CacheClient", "CacheCore", "CacheFiles", "TestSupport", "fuse-exerciser", "CLinux",
                nioCore, nioPosix, nioConcurrency, logging, lifecycle,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CacheAgentTests",
            dependencies: [
                "CacheAgent", "CacheDevice", "CacheClient", "CacheCore", "CacheFiles", "TestSupport", nioCore,
                nioPosix, logging, lifecycle,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "IntegrationTests", dependencies: ["CacheCore", "TestSupport", "layercache"],
            swiftSettings: settings),
    ]
)
