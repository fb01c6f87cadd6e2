internal import CacheCore
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// What verbs ask the worker of this host, over its socket.
package struct WorkerClient: Sendable {
    /// No worker listens there.
    package struct NoWorker: Error, CustomStringConvertible {
        package let description: String
    }

    private typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    /// Longer than the worker takes to open and mount an image whose tiers are away.
    private static let deadline = Duration.seconds(150)
    private static let mostBodyBytes = 16 << 20

    private let socket: String
    private let deadlines = Deadlines()

    package init(socket: String) { self.socket = socket }

    package func status() async throws -> WorkerStatus {
        try await ask(.GET, "/v1/status", for: WorkerStatus.self)
    }

    package func mount(_ request: MountRequest) async throws -> MountStatus {
        try await ask(.POST, "/v1/mounts", body: try JSONDocument.encode(request), for: MountStatus.self)
    }

    package func unmount(_ directory: String) async throws {
        _ = try await ask(.DELETE, "/v1/mounts?dir=\(Self.encoded(directory))", for: [String: String].self)
    }

    package func statistics(of directory: String) async throws -> MountStatistics {
        try await ask(.GET, "/v1/stats?dir=\(Self.encoded(directory))", for: MountStatistics.self)
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || "/._-".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            result += isPlain ? String(UnicodeScalar(byte)) : "%\(digits.utf8.count == 1 ? "0" : "")\(digits)"
        }
    }

    // MARK: One request

    /// Asks once.
    ///
    /// - Throws: ``NoWorker`` if nobody listens; what the worker answered as `.io`, in its own words.
    private func ask<Answer: Decodable & Sendable>(
        _ method: HTTPMethod, _ uri: String, body: [UInt8] = [], for type: Answer.Type
    ) async throws -> Answer {
        let connection = try await connect()
        let (status, bytes) = try await deadlines.run(Self.deadline, "the worker at \(socket)") {
            do {
                return try await Self.exchange(connection, method, uri, body)
            } catch {
                throw CacheError(.io, "the worker broke off before it answered: ask again", cause: error)
            }
        }
        guard (200..<300).contains(status.code) else {
            let answer = try JSONDocument.decode(Refusal.self, from: bytes, name: "the worker's answer", depth: 4)
            throw CacheError(.io, answer.error)
        }
        return try JSONDocument.decode(type, from: bytes, name: "the worker's answer", depth: 8)
    }

    private struct Refusal: Decodable { let error: String }

    private func connect() async throws -> Connection {
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(unixDomainSocketPath: socket) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
        } catch let error as IOError
            where [Errno.noSuchFile, .connectionRefused].map(\.rawValue).contains(error.errnoCode)
        {
            throw NoWorker(description: "no worker listens at \(socket): start one with layercache worker")
        } catch let error as IOError where error.errnoCode == Errno.permissionDenied.rawValue {
            throw CacheError(
                .io, "the worker at \(socket) is another user's: ask it as that user, root for most")
        } catch {
            throw CacheError(.io, "cannot connect to the worker at \(socket)", cause: error)
        }
    }

    private static func exchange(
        _ connection: Connection, _ method: HTTPMethod, _ uri: String, _ body: [UInt8]
    ) async throws -> (status: HTTPResponseStatus, body: [UInt8]) {
        try await connection.executeThenClose { inbound, outbound in
            let headers: HTTPHeaders = [
                "host": "worker", "content-type": "application/json", "content-length": "\(body.count)",
            ]
            try await outbound.write(
                .head(HTTPRequestHead(version: .http1_1, method: method, uri: uri, headers: headers)))
            if !body.isEmpty { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
            try await outbound.write(.end(nil))
            var status: HTTPResponseStatus?
            var answer: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head): status = head.status
                case .body(let bytes):
                    guard answer.count + bytes.readableBytes <= mostBodyBytes else {
                        throw CacheError(.limitExceeded, "the answer has more than \(mostBodyBytes) bytes")
                    }
                    answer.append(contentsOf: bytes.readableBytesView)
                case .end:
                    if let status { return (status, answer) }
                }
            }
            throw ChannelError.eof
        }
    }
}
