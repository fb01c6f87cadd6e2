import CacheCore
import NIOCore
import Testing

/// Images whose files no container runtime unpacks get no ref.
@Suite(.timeLimit(.minutes(10))) struct TreeCheckTests {
    private let fixture: PushFixture

    init() throws { fixture = try PushFixture() }

    private func layer(_ name: String, _ build: (inout TarBuilder) -> Void) -> LayerSource {
        var tar = TarBuilder()
        build(&tar)
        let bytes = tar.finished()
        return LayerSource(name: name, isFile: false, diffID: SHA256Digest(of: bytes), compressedSize: nil) {
            PiecewiseSource(bytes)
        }
    }

    private func push(
        _ layers: [LayerSource], from origin: ImageManifest.Source = .oci, as name: String = "acme/image:1"
    ) async throws -> PushReport {
        let reference = try ImageReference(parsing: name)
        return try await ImagePusher(
            store: fixture.base, tenant: try fixture.keyring.keys(for: reference.tenant),
            deployment: try fixture.keyring.requireDeploymentKey()
        ).push(ImageSource(origin: origin, configuration: nil, layers: layers), as: reference)
    }

    private func error(_ layers: [LayerSource], from origin: ImageManifest.Source = .oci) async throws -> CacheError? {
        do {
            _ = try await push(layers, from: origin)
            return nil
        } catch let error as CacheError {
            // No ref was set.
            #expect(try await RefStore(fixture.base).read(try ImageReference(parsing: "acme/image:1")) == nil)
            return error
        }
    }

    @Test func layersThatMakeNoTree() async throws {
        let base = layer("the base") { $0.file("a", [1, 2, 3]) }
        let link = layer("the link") { $0.header("b", type: "1", link: "a") }
        let gone = layer("the whiteout") { $0.file(".wh.a", []) }
        // Alone, and over a layer that has removed its target, the link leads nowhere.
        for layers in [[link], [base, gone, link], [link, base]] {
            let error = try await error(layers)
            #expect(error?.code == .invalidInput)
            #expect(error?.message == "the link: 'b' is a hard link to 'a', which is not there")
        }
        // Known layers by now, and an image that is right.
        let report = try await push([base, link, gone])
        #expect(report.layers.map(\.wasKnown) == [true, true, true])
    }

    @Test func whatNoRuntimeTakesIsNamed() async throws {
        for (build, message) in [
            (
                {
                    $0.header("d/", type: "5"); $0.header("l", type: "1", link: "d")
                }, "'l' is a hard link to the directory 'd'"
            ),
            ({ $0.header("./", type: "2", link: "x") }, "'./' takes the place of the root directory"),
            ({ $0.header("l", type: "2") }, "'l' is a symbolic link without a target"),
            ({ $0.header("a/.wh.", size: 0) }, "'a/.wh.' removes no entry of its directory"),
            (
                {
                    $0.pax("path", String(repeating: "n", count: 256)); $0.file("x", [])
                }, "has a name of 256 bytes"
            ),
        ] as [((inout TarBuilder) -> Void, String)] {
            let error = try await error([layer("it", build)])
            #expect(error?.code == .invalidInput, "\(message): \(error.debugDescription)")
            #expect(error?.message.contains(message) == true, "\(message): \(error.debugDescription)")
            #expect(error?.message.hasPrefix("it: '") == true)
        }
    }

    /// What was a directory has no whiteouts, so nothing is wrong with such names there.
    @Test func namesLikeWhiteouts() async throws {
        let names = layer("it") { $0.file(".wh.", [1]) }
        #expect(try await error([names])?.message.contains("removes no entry") == true)
        #expect(try await push([names], from: .directory).layers.count == 1)
    }

    @Test func anEntryTableThatIsDamaged() async throws {
        let base = layer("the base") { $0.file("a", [1, 2, 3]) }
        _ = try await push([base], as: "acme/other:1")
        for file in try fixture.files("/chunks/") { try Damage.flipped.apply(to: file) }
        let error = try await error([base])
        #expect(error?.code == .corrupt, "\(error.debugDescription)")
        #expect(error?.message.contains("--repair") == true, "\(error.debugDescription)")
    }
}
