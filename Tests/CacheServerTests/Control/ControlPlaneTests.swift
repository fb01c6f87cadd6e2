import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// Statistics, metrics and health.
struct ControlPlaneTests {
    @Test func healthAndReadiness() async throws {
        try await TestServer.run { server async throws in
            #expect(try await server.call("GET", server.url("/healthz")).text == "alive\n")
            #expect(try await server.call("GET", server.url("/readyz")).text == "ready\n")
            let head = try await server.call("HEAD", server.url("/readyz"))
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == "6")
            #expect(head.body.readableBytes == 0)
            #expect(try await server.call("GET", server.url("/nothing")).status == 404)
            #expect(try await server.call("GET", server.url("/v1/chunks")).status == 404)
        }
    }

    @Test func statisticsCountWhatHappened() async throws {
        try await TestServer.run(memory: 32 << 20, capacity: 1 << 29, threads: 2) { server async throws in
            let chunk = TestChunk(seed: 1, length: 100_000)
            _ = try await server.get(chunk)
            _ = try await server.put(chunk)
            _ = try await server.put(chunk)
            _ = try await server.get(chunk)
            _ = try await server.call("PUT", server.url(chunk.id), ByteBuffer(string: "other"))
            let statistics = try await server.statistics()
            #expect(statistics.misses == 1)
            #expect(statistics.memory.hits == 1)
            #expect(statistics.memory.chunks == 1)
            #expect(statistics.memory.capacity == 32 << 20)
            #expect(statistics.disk.hits == 0)
            #expect(statistics.disk.chunks == 1)
            #expect(statistics.disk.bytes >= 100_000)
            #expect(statistics.disk.capacity == 1 << 29)
            #expect(statistics.puts.stored == 1)
            #expect(statistics.puts.alreadyPresent == 1)
            #expect(statistics.puts.refused == 1)
            #expect(statistics.requests == 5)
            #expect(statistics.bytesIn == 200_005)
            #expect(statistics.bytesInFlight == 0)
            #expect(statistics.connections.open >= 1)
            #expect(statistics.uptimeSeconds == 0)
            #expect(statistics.ready)
            #expect(statistics.ring.isEmpty)
            #expect(statistics.errors.malformed == 0)
            let latency = statistics.latency
            #expect(latency.bounds == latency.bounds.sorted())
            // One count more than bounds: of what is beyond.
            #expect(latency.memory.counts.count == latency.bounds.count + 1)
            // The GET that missed and the PUT that was refused are not among them.
            #expect(latency.memory.counts.reduce(0, +) == 1)
            #expect(latency.disk.counts.reduce(0, +) == 0)
            #expect(latency.put.counts.reduce(0, +) == 2)
        }
    }

    @Test func metricsAreWellFormedPrometheusText() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 1_000)
            _ = try await server.put(chunk)
            _ = try await server.get(chunk)
            let reply = try await server.call("GET", server.url("/metrics"))
            #expect(reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let lines = reply.text.split(separator: "\n")
            var families: Set<Substring> = []
            for line in lines {
                let words = line.split(separator: " ")
                if line.hasPrefix("# TYPE ") {
                    #expect(families.insert(words[2]).inserted, "\(line)")
                } else if !line.hasPrefix("#") {
                    try #require(words.count == 2, "\(line)")
                    #expect(Double(words[1]) != nil, "\(line)")
                    let name = words[0].prefix { $0 != "{" }
                    let base = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) && !families.contains(name) }
                    #expect(families.contains(name.dropLast(base?.count ?? 0)), "\(line)")
                }
            }
            for sample in [
                "layercache_requests_total{method=\"PUT\",status=\"2xx\"} 1",
                "layercache_requests_total{method=\"GET\",status=\"2xx\"} 1",
                "layercache_chunk_hits_total{tier=\"memory\"} 1", "layercache_chunk_puts_total{outcome=\"stored\"} 1",
                "layercache_received_bytes_total 1000", "layercache_sent_bytes_total 1007", "layercache_store_chunks 1",
                "layercache_request_seconds_count{method=\"GET\",tier=\"memory\"} 1",
                "layercache_request_seconds_count{method=\"GET\",tier=\"disk\"} 0",
                "layercache_request_seconds_count{method=\"PUT\"} 1",
                "layercache_request_seconds_bucket{method=\"GET\",tier=\"memory\",le=\"+Inf\"} 1",
            ] {
                #expect(lines.contains(Substring(sample)), "\(sample)")
            }
        }
    }
}
