internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// What can be asked of a worker (docs/OPERATIONS.md, "Worker").
package struct AgentRoutes: Sendable {
    private let worker: Worker
    /// The text of `/metrics`.
    private let metrics: @Sendable () async -> String

    package init(_ worker: Worker, metrics: @escaping @Sendable () async -> String) {
        self.worker = worker
        self.metrics = metrics
    }

    func respond(to request: AgentRequest) async -> AgentResponse {
        do {
            switch (request.path, request.method) {
            case ("/v1/status", .GET):
                return try AgentResponse(.ok, json: await worker.status)
            case ("/v1/mounts", .POST):
                return try AgentResponse(.created, json: try await worker.mount(try mountRequest(request.body)))
            case ("/v1/mounts", .DELETE):
                let directory = try directory(request)
                try await worker.unmount(directory)
                return try AgentResponse(.ok, json: ["dir": directory])
            case ("/v1/stats", .GET):
                return try AgentResponse(.ok, json: try await worker.statistics(of: try directory(request)))
            case ("/metrics", .GET):
                return AgentResponse(status: .ok, contentType: PrometheusText.contentType, text: await metrics())
            case ("/v1/status", _), ("/v1/mounts", _), ("/v1/stats", _), ("/metrics", _):
                return AgentResponse(.methodNotAllowed, error: "\(request.path) cannot be asked by \(request.method)")
            default:
                return AgentResponse(
                    .notFound, error: "there is no \(request.path): use /v1/status, /v1/mounts, /v1/stats or /metrics")
            }
        } catch {
            return AgentResponse(error)
        }
    }

    private static let limits = JSONLimits(bytes: AgentServer.mostBodyBytes, depth: 2)

    private func mountRequest(_ body: ByteBuffer) throws -> MountRequest {
        try JSONDocument.decode(
            MountRequest.self, from: Array(body.readableBytesView), name: "the request", limits: Self.limits)
    }

    private func directory(_ request: AgentRequest) throws(CacheError) -> String {
        guard let directory = request.parameters["dir"], !directory.isEmpty else {
            throw CacheError(.invalidInput, "name the directory: \(request.path)?dir=DIR, percent-encoded")
        }
        return directory
    }
}
