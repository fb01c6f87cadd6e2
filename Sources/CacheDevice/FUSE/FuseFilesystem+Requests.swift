internal import CLinux
internal import CacheClient
internal import CacheCore
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOCore

// What is answered to each request.
extension FuseFilesystem {
    func handle(_ request: FuseRequest, _ channel: FuseChannel) {
        let unique = request.unique
        switch request.operation {
        case .read(let offset, let count): read(request, at: offset, count, channel)
        case .initialize(let offer): initialize(unique, offer, channel)
        case .lookUp(let name):
            answer(unique, channel) { $0.lookUp(name) }
        case .attributes:
            answer(unique, channel) { $0.attributes(of: request.number) }
        case .open:
            answer(unique, channel) { $0[request.number] == nil ? nil : FuseDirectory.opened }
        case .openDirectory:
            channel.answer(unique, with: fuse_open_out())
        case .readDirectory(let place, let count):
            let list = directory.list(after: place, atMost: min(count, FuseLimits.readBytes))
            list.withUnsafeBytes { channel.answer(unique, bytes: $0) }
        case .statistics:
            channel.answer(unique, with: directory.statistics())
        case .seek(let offset, let sought): seek(request, offset, sought, channel)
        case .access(let isWrite):
            channel.answer(unique, isWrite ? .readOnlyFilesystem : nil)
        case .interrupt(let other):
            reads.interrupt(other)
        case .accepted:
            channel.answer(unique, nil)
        case .silent:
            break
        case .refused(let error):
            channel.answer(unique, error)
        }
    }

    private var directory: FuseDirectory { state.withLockedValue { $0.directory } }

    /// Answers with a structure, or says that there is no such file.
    private func answer<Body: BitwiseCopyable>(
        _ unique: UInt64, _ channel: FuseChannel, _ body: (FuseDirectory) -> Body?
    ) {
        if let body = body(directory) {
            channel.answer(unique, with: body)
        } else {
            channel.answer(unique, .noSuchFile)
        }
    }

    private func initialize(_ unique: UInt64, _ offer: FuseOffer, _ channel: FuseChannel) {
        if offer.major > FUSE_KERNEL_VERSION {
            // The kernel then offers the version that it is told.
            var answer = fuse_init_out()
            answer.major = UInt32(FUSE_KERNEL_VERSION)
            return channel.answer(unique, with: answer)
        }
        guard let session = FuseSession(offer) else {
            channel.answer(unique, .protocolError)
            return end("the kernel speaks FUSE \(offer.major).\(offer.minor): Linux 5.4 or later is needed")
        }
        state.withLockedValue { $0.session = session }
        events.negotiated(session)
        channel.answer(unique, with: session.answer)
    }

    private func read(_ request: FuseRequest, at offset: UInt64, _ count: Int, _ channel: FuseChannel) {
        let unique = request.unique
        guard let entry = state.withLockedValue({ $0.directory[request.number] }), count <= FuseLimits.readBytes else {
            return channel.answer(unique, .ioError)
        }
        // Only here may the answer be short: the file ends.
        let count = offset < entry.byteCount ? Int(min(UInt64(count), entry.byteCount - offset)) : 0
        if count == 0 { return channel.answer(unique, nil) }
        // Memory does not make anybody wait, so that it needs no deadline.
        if let buffers = try? entry.device?.cached(at: offset, count: count, reach: .memory),
            buffers.reduce(0, { $0 + $1.readableBytes }) == count
        {
            return channel.answer(unique, with: buffers)
        }
        let read = FuseReads.Read(
            unique: unique, thread: request.thread, number: request.number, offset: offset, count: count,
            channel: channel)
        reads.submit(read, from: entry.device)
    }

    private func seek(
        _ request: FuseRequest, _ offset: UInt64, _ sought: FuseRequest.Sought, _ channel: FuseChannel
    ) {
        guard let entry = state.withLockedValue({ $0.directory[request.number] }) else {
            return channel.answer(request.unique, .ioError)
        }
        guard offset < entry.byteCount else { return channel.answer(request.unique, .noDeviceOrAddress) }
        var place = offset
        for _ in 0..<FuseLimits.searchedExtents {
            guard let extent = entry.device?.extent(at: place), extent.count > 0,
                extent.isZero == (sought == .data)
            else { break }
            place += min(extent.count, entry.byteCount - place)
            if place == entry.byteCount { break }
        }
        // The end of the file is a hole.
        if place == entry.byteCount, sought == .data {
            return channel.answer(request.unique, .noDeviceOrAddress)
        }
        channel.answer(request.unique, with: fuse_lseek_out(offset: place))
    }
}
