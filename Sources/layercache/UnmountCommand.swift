import ArgumentParser
import CacheAgent
import CacheCore

struct UnmountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unmount", abstract: "Take an image's directory away again.",
        discussion: "Fails while a program uses it. What was written to it (--writable) is removed.")

    @Argument(help: ArgumentHelp("The directory.", valueName: "dir"))
    var directory: String
    @OptionGroup var socket: SocketOption
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        let place = WorkerPlace(socket: try socket.path(settings))
        let directory = try directory.inWorkingDirectory()
        try await WorkerLauncher(place).withWorker(orStart: nil) { client in try await client.unmount(directory) }
        try options.report(["dir": directory]) { try Terminal.say("\(directory) is unmounted") }
    }
}
