// swift-tools-version:6.2
import PackageDescription

let package = Package(
    name: "EmbedClient",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "layercache", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        .executableTarget(
            name: "EmbedClient",
            dependencies: [
                .product(name: "CacheClient", package: "layercache"),
                .product(name: "CacheCore", package: "layercache"),
                .product(name: "NIOCore", package: "swift-nio"),
            ])
    ]
)
