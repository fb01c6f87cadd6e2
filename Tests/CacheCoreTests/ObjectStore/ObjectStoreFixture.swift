import CacheCore
import TestSupport
import Testing

extension TemporaryDirectory {
    /// An object store in the directory itself.
    func store(threads: Int = 8) throws -> FileObjectStore {
        try FileObjectStore(root: path, create: true, threads: threads)
    }
}

func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

/// The ``CacheError`` that `body` throws; a failure of the test if it throws none or another.
func failure<Result>(
    _ body: () async throws -> Result, sourceLocation: SourceLocation = #_sourceLocation
) async -> CacheError? {
    do {
        _ = try await body()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
    } catch let error as CacheError {
        if !error.description.contains(where: \.isNewline) { return error }
        Issue.record("an error of several lines: \(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("not a CacheError: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
