import CacheCore
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import CacheServer

/// The small pieces of the HTTP path that need no socket.
struct RequestPartsTests {
    private let id = TestChunk(seed: 1).id

    @Test func targetsAreRouted() {
        #expect(Route(target: "/v1/chunks/\(id.hex)") == .chunk(id))
        #expect(Route(target: "http://host:1/v1/chunks/\(id.hex)") == .chunk(id))
        #expect(Route(target: "hTTp://host/v1/chunks/missing") == .missing)
        #expect(Route(target: "http://host") == .control(path: "/"))
        #expect(Route(target: "/") == .control(path: "/"))
        #expect(Route(target: "*") == .control(path: "*"))
        #expect(Route(target: "") == .control(path: ""))
        #expect(Route(target: "/v1/chunks") == .control(path: "/v1/chunks"))
        #expect(Route(target: "https://host/v1/chunks/missing") == .missing)
        #expect(Route(target: "HTTPS://host:1/healthz").isPublic)
        #expect(Route(target: "httpx://host/healthz") == .control(path: "httpx://host/healthz"))
        for path in ["/healthz/", "//healthz", "/healthz?a", "/Healthz", "/x/../healthz", "/healthz%00", "healthz"] {
            #expect(!Route(target: path).isPublic, "\(path)")
        }
        for name in ["", "x", "missing/", "missing?a", "\(id.hex)?", "\(id.hex) ", "é"] {
            guard case .malformed = Route(target: "/v1/chunks/\(name)") else {
                Issue.record("\(name) is not refused")
                continue
            }
        }
    }

    @Test func budgetIsReservedAndReleased() {
        var budget = InFlightBudget(bytes: 100, requests: 2, largest: 10)
        let reserved = [60, 41, 40, 0].map { budget.reserve(.init(bytes: $0, purpose: .response)) }
        #expect(reserved == [true, false, true, false])
        budget.shrink(.response, by: 30)
        budget.release(.init(bytes: 30, purpose: .response))
        #expect(budget.bytes == 40)
        let again = budget.reserve(.init(bytes: 60, purpose: .response))
        #expect(again)
        budget.reserveUnconditionally()
        #expect(budget.requests == 3)
    }

    @Test func bodiesTakeHalfOfTheBudget() {
        var budget = InFlightBudget(bytes: 100, requests: 9, largest: 30)
        let reserved = [30, 20, 1].map { budget.reserve(.init(bytes: $0, purpose: .requestBody)) }
        #expect(reserved == [true, true, false])
        let response = budget.reserve(.init(bytes: 50, purpose: .response))
        #expect(response)
        budget.release(.init(bytes: 30, purpose: .requestBody))
        let again = budget.reserve(.init(bytes: 30, purpose: .requestBody))
        #expect(again)
        // One body always fits, however small the budget is.
        var small = InFlightBudget(bytes: 1, requests: 9, largest: 30)
        let only = [30, 1].map { small.reserve(.init(bytes: $0, purpose: .requestBody)) }
        #expect(only == [true, false])
    }

    @Test func storeFailuresBecomeStatuses() {
        #expect(Refusal(CacheError(.io, "full"), writing: true).status == .insufficientStorage)
        #expect(Refusal(CacheError(.io, "bad disk"), writing: false).status == .internalServerError)
        #expect(Refusal(CacheError(.overloaded, "queue"), writing: true).status == .serviceUnavailable)
        #expect(Refusal(CacheError(.closed, "closed"), writing: false).shed == .store)
        #expect(Refusal(ChannelError.eof, writing: true).status == .internalServerError)
    }

    @Test func datesHaveTheFormOfTheProtocol() {
        #expect(HTTPDate.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.format(1_709_251_199) == "Thu, 29 Feb 2024 23:59:59 GMT")
    }

    @Test func deadlinesAreLookedAtOftenEnough() {
        var limits = ServerLimits()
        #expect(limits.tick == .milliseconds(500))
        limits.idleTime = .milliseconds(40)
        #expect(limits.tick == .milliseconds(10))
        limits.waitTime = .microseconds(1)
        #expect(limits.tick == .milliseconds(5))
    }
}
