import Foundation
import TestSupport
import Testing

/// The page in a browser.
@Suite(
    .enabled(
        if: ["chromium-headless-shell", "chromium"].contains(where: BuiltProgram.isInstalled), "needs Chromium"))
struct PageLookTests {
    @Test func peopleCanUseThePage() async throws {
        let look = try ChildProcess(
            "\(Project.directory)/Scripts/look-at-page", ["--binary", try Workbench.binary])
        let outcome = try await look.wait()
        #expect(outcome.status == 0, "\(outcome.error)\(outcome.output)")
    }
}
