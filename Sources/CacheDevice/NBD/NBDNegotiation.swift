internal import NIOCore

/// What client and server agreed on before the first request.
struct NBDAgreement: Equatable {
    /// Replies in chunks, so that holes cost nothing and an error has its place.
    var isStructured = false
    /// BLOCK_STATUS tells of `base:allocation`.
    var hasAllocation = false
}

/// The first phase of a connection, fixed newstyle negotiation, as a pure value: bytes go in, steps come out.
struct NBDNegotiation {
    enum Step {
        /// More bytes are needed.
        case wait
        /// To be sent; ask again.
        case reply(ByteBuffer)
        /// To be sent; requests follow.
        case begin(ByteBuffer)
        /// To be sent, and then the connection ends.
        case end(ByteBuffer)
    }

    private typealias Reply = NBDProtocol.OptionReply

    let export: NBDExport
    let limits: NBDLimits
    private(set) var agreement = NBDAgreement()
    /// What the client said to the greeting.
    private var clientFlags: UInt32?
    private var optionCount = 0

    init(export: NBDExport, limits: NBDLimits) {
        self.export = export
        self.limits = limits
    }

    /// The first bytes of a connection.
    static var greeting: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(NBDProtocol.greetingMagic)
        buffer.writeInteger(NBDProtocol.optionMagic)
        buffer.writeInteger(UInt16(NBDProtocol.HandshakeFlag.fixedNewstyle | NBDProtocol.HandshakeFlag.noZeroes))
        return buffer
    }

    /// Takes the next option out of what has come.
    mutating func next(_ input: inout ByteBuffer) -> Step {
        guard let clientFlags else {
            guard let flags = input.readInteger(as: UInt32.self) else { return .wait }
            let known = NBDProtocol.HandshakeFlag.fixedNewstyle | NBDProtocol.HandshakeFlag.noZeroes
            guard flags & ~known == 0 else { return .end(ByteBuffer()) }
            clientFlags = flags
            return next(&input)
        }
        var rest = input
        guard let magic = rest.readInteger(as: UInt64.self) else { return .wait }
        guard magic == NBDProtocol.optionMagic else { return .end(ByteBuffer()) }
        guard let (option, length) = rest.readMultipleIntegers(as: (UInt32, UInt32).self) else { return .wait }
        guard length <= limits.optionBytes, optionCount < limits.options else { return .end(ByteBuffer()) }
        guard let data = rest.readSlice(length: Int(length)) else { return .wait }
        input = rest
        optionCount += 1
        return answer(option, data, omitsZeroes: clientFlags & NBDProtocol.HandshakeFlag.noZeroes != 0)
    }

    private mutating func answer(_ option: UInt32, _ data: ByteBuffer, omitsZeroes: Bool) -> Step {
        typealias Option = NBDProtocol.Option
        switch option {
        case Option.exportName:
            // The one option without a reply of its own: a wrong name ends the connection.
            guard export.isCalled(String(buffer: data)) else { return .end(ByteBuffer()) }
            return .begin(exportDescription(omitsZeroes: omitsZeroes))
        case Option.abort:
            return .end(reply(option, Reply.acknowledged))
        case Option.list:
            guard data.readableBytes == 0 else { return .reply(invalid(option, "LIST takes no data")) }
            return .reply(list())
        case Option.startTLS:
            return .reply(failure(option, Reply.policy, "a Unix socket needs no TLS"))
        case Option.info, Option.go:
            return inform(option, data)
        case Option.structuredReply:
            guard data.readableBytes == 0 else { return .reply(invalid(option, "STRUCTURED_REPLY takes no data")) }
            agreement.isStructured = true
            return .reply(reply(option, Reply.acknowledged))
        case Option.listMetaContext, Option.setMetaContext:
            return .reply(metaContexts(option, data))
        default:
            return .reply(failure(option, Reply.unsupported, "this server does not know the option"))
        }
    }

    /// The answer to EXPORT_NAME.
    private func exportDescription(omitsZeroes: Bool) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(export.byteCount)
        buffer.writeInteger(export.flags(structured: agreement.isStructured))
        if !omitsZeroes { buffer.writeRepeatingByte(0, count: 124) }
        return buffer
    }

    private func list() -> ByteBuffer {
        var data = ByteBuffer()
        data.writeNBDString(export.name)
        var buffer = reply(NBDProtocol.Option.list, Reply.server, data)
        buffer.writeImmutableBuffer(reply(NBDProtocol.Option.list, Reply.acknowledged))
        return buffer
    }

    /// INFO and GO: a name, and what the client wants to know.
    private func inform(_ option: UInt32, _ data: ByteBuffer) -> Step {
        typealias Info = NBDProtocol.Info
        var data = data
        guard let name = data.readNBDString(), let count = data.readInteger(as: UInt16.self),
            data.readableBytes == 2 * Int(count)
        else { return .reply(invalid(option, "the option is not well-formed")) }
        guard export.isCalled(name) else { return .reply(unknownExport(option)) }
        var answers = ByteBuffer()
        var info = ByteBuffer()
        info.writeMultipleIntegers(Info.export, export.byteCount, export.flags(structured: agreement.isStructured))
        answers.writeImmutableBuffer(reply(option, Reply.info, info))
        var asked: Set<UInt16> = []
        while let type = data.readInteger(as: UInt16.self) { asked.insert(type) }
        if asked.contains(Info.name) {
            info = ByteBuffer(integer: Info.name)
            info.writeString(export.name)
            answers.writeImmutableBuffer(reply(option, Reply.info, info))
        }
        if asked.contains(Info.blockSize) {
            info = ByteBuffer()
            info.writeMultipleIntegers(Info.blockSize, UInt32(1), UInt32(4096), UInt32(limits.requestBytes))
            answers.writeImmutableBuffer(reply(option, Reply.info, info))
        }
        answers.writeImmutableBuffer(reply(option, Reply.acknowledged))
        return option == NBDProtocol.Option.go ? .begin(answers) : .reply(answers)
    }

    /// LIST_META_CONTEXT and SET_META_CONTEXT: a name, and what to list or to choose.
    private mutating func metaContexts(_ option: UInt32, _ data: ByteBuffer) -> ByteBuffer {
        let sets = option == NBDProtocol.Option.setMetaContext
        // Each choice replaces the one before, also if it fails.
        if sets { agreement.hasAllocation = false }
        guard agreement.isStructured else { return invalid(option, "negotiate structured replies first") }
        var data = data
        guard let name = data.readNBDString(), let count = data.readInteger(as: UInt32.self) else {
            return invalid(option, "the option is not well-formed")
        }
        var isMeant = !sets && count == 0
        // Each takes four bytes at least: a count that promises more ends here.
        for _ in 0..<count {
            guard let query = data.readNBDString() else { return invalid(option, "the option is not well-formed") }
            isMeant = isMeant || query == NBDProtocol.allocationContext || (!sets && query == "base:")
        }
        guard data.readableBytes == 0 else { return invalid(option, "the option is not well-formed") }
        guard export.isCalled(name) else { return unknownExport(option) }
        var answers = ByteBuffer()
        if isMeant {
            var context = ByteBuffer(integer: sets ? NBDProtocol.allocationContextID : 0)
            context.writeString(NBDProtocol.allocationContext)
            answers.writeImmutableBuffer(reply(option, Reply.metaContext, context))
            if sets { agreement.hasAllocation = true }
        }
        answers.writeImmutableBuffer(reply(option, Reply.acknowledged))
        return answers
    }

    // MARK: Replies

    private func reply(_ option: UInt32, _ type: UInt32, _ data: ByteBuffer = ByteBuffer()) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(NBDProtocol.optionReplyMagic, option, type, UInt32(data.readableBytes))
        buffer.writeImmutableBuffer(data)
        return buffer
    }

    private func failure(_ option: UInt32, _ type: UInt32, _ why: String) -> ByteBuffer {
        reply(option, type, ByteBuffer(string: why))
    }

    private func invalid(_ option: UInt32, _ why: String) -> ByteBuffer { failure(option, Reply.invalid, why) }

    private func unknownExport(_ option: UInt32) -> ByteBuffer {
        failure(option, Reply.unknown, "there is no such export here: leave its name empty")
    }
}

extension ByteBuffer {
    /// A length and as many bytes, as the protocol has names; `nil` if there are fewer.
    fileprivate mutating func readNBDString() -> String? {
        var rest = self
        guard let length = rest.readInteger(as: UInt32.self), let text = rest.readString(length: Int(length)) else {
            return nil
        }
        self = rest
        return text
    }

    fileprivate mutating func writeNBDString(_ text: String) {
        writeInteger(UInt32(text.utf8.count))
        writeString(text)
    }
}
