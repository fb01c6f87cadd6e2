internal import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers

/// The token list of a daemon, read again when its file changes. A file that cannot be used refuses everybody.
package final class TokenWatch: Sendable {
    private struct State {
        var files: WatchedFiles
        var complaint: String?
        var last: TokenList
    }

    private let path: String
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    /// The tokens as they were at the start.
    package let atStart: TokenList

    /// Reads it once. Blocks.
    /// - Throws: what is wrong with the file.
    package init(_ path: String, logger: Logger) throws {
        self.path = path
        self.logger = logger
        atStart = TokenList(try TokenFile.read(path))
        // What has changed since is found by the first look.
        state = NIOLockedValueBox(State(files: WatchedFiles([(path, TokenFile.kind)]), last: atStart))
    }

    /// What the last look found. Waits for one that is under way.
    package var last: TokenList { state.withLockedValue { $0.last } }

    /// The list that counts from now on, if it is another one than before. Blocks.
    package func look() -> TokenList? {
        state.withLockedValue { state in
            guard let result = state.files.look() else { return nil }
            do {
                let list = TokenList(try TokenFile.parse(try result.get().first ?? [], path: path))
                if state.complaint != nil {
                    logger.notice("the token list can be used again", metadata: ["tokens": "\(list.count)"])
                }
                state.complaint = nil
                state.last = list
                return list
            } catch {
                // What goes on is told once.
                let complaint = "\(error)"
                if complaint != state.complaint {
                    logger.error("nobody has access: the token list cannot be used", metadata: ["error": "\(error)"])
                }
                state.complaint = complaint
                state.last = .empty
                return .empty
            }
        }
    }
}
