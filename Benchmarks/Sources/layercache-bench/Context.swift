/// What cases share in one run: the image is unpacked once, and only if a case asks for it.
final class Context {
    let workspace: Workspace
    /// Images whose starts are measured.
    let starts: [StartImage]
    let evictionFiles: EvictionFiles
    private let source: String
    private var loadedImage: ImageFixture?
    private var loadedSample: ChunkSample?

    init(workspace: Workspace, source: String, starts: [StartImage], evictionFiles: EvictionFiles) {
        self.workspace = workspace
        self.starts = starts
        self.evictionFiles = evictionFiles
        self.source = source
    }

    /// Rounds of what takes milliseconds.
    var rounds: Int { workspace.quick ? 3 : 11 }

    func image() throws -> ImageFixture {
        if let loadedImage { return loadedImage }
        let image = try ImageFixture(source: source, workspace: workspace)
        loadedImage = image
        return image
    }

    func sample() throws -> ChunkSample {
        if let loadedSample { return loadedSample }
        let sample = try image().chunks(limit: workspace.quick ? 48 : 256)
        loadedSample = sample
        return sample
    }
}

/// A case by its name on the command line.
enum BenchCase: String, CaseIterable {
    case primitives
    case seal
    case open
    case l1Get = "l1-get"
    case l1Cold = "l1-cold"
    case l1Churn = "l1-churn"
    case l2Get = "l2-get"
    case l2Put = "l2-put"
    case emptyCache = "empty-cache"
    case push
    case pull
    case coldStart = "cold-start"
    case device
    case ring
    case stripes
    case eviction

    func run(_ context: Context) async throws -> CaseResult {
        switch self {
        case .primitives: try runPrimitives(context)
        case .seal: try runSeal(context)
        case .open: try runOpen(context)
        case .l1Get: try await runL1Get(context)
        case .l1Cold: try await runL1Cold(context)
        case .l1Churn: try await runL1Churn(context)
        case .l2Get: try runL2Get(context)
        case .l2Put: try runL2Put(context)
        case .emptyCache: try await runEmptyCache(context)
        case .push: try runPush(context)
        case .pull: try runPull(context)
        case .coldStart: try runColdStart(context)
        case .device: try runDevice(context)
        case .ring: try await runRing(context)
        case .stripes: try await runStripes(context)
        case .eviction: try runEviction(context)
        }
    }
}
