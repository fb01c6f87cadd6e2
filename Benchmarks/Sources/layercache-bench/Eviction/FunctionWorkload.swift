import Foundation

/// Starts of functions on one worker, as a trace of the chunks that they read, made from a seed.
///
/// Functions stand on a few base images that all share, and the functions of an application on its layers. How many
/// there are of each kind, and how often they are called, are the shares of the Azure Functions trace of 2019 (Shahrad
/// et al., ATC 2020); what a new version changes is as published of AWS Lambda (Brooker et al., ATC 2023). Nobody has
/// published how popularity is skewed, so the exponent is swept.
struct FunctionWorkload {
    let exponent: Double
    let starts: Int
    let seed: UInt64

    static let name = "functions"
    private static let functionCount = 400
    private static let baseCount = 12
    /// Percent of functions and of calls: HTTP, queue, event, orchestration, others; timers are apart.
    private static let kinds: [(functions: Double, calls: Double)] = [(55, 36), (15, 34), (25, 25), (7, 2), (5, 1)]
    private static let timerFunctions = 0.16
    private static let timerCalls = 0.02
    /// Applications of one function.
    private static let lonely = 0.54
    /// Starts to each upload of a new version.
    private static let startsPerUpload = 40
    /// Uploads that bring anything new, and the mean share of chunks that these replace.
    private static let changingUploads = 0.2
    private static let changedShare = 0.043

    private struct Function {
        /// What each start reads of the layers that it shares with others.
        var shared: [Int]
        var own: [Int]
    }

    func trace() -> AccessTrace {
        var trace = AccessTrace(name: "\(Self.name), exponent \(exponent.short)")
        var generator = SplitMix64(seed: seed)
        var functions = makeFunctions(&trace, &generator)
        let timers = Int(Double(functions.count) * Self.timerFunctions)
        // Functions come in no order: the first are the timers, the others go to the kinds.
        let kinds = split(timers..<functions.count)
        let kind = Choice(weights: Self.kinds.map(\.calls))
        let startsPerWave = max(Int(Double(timers) / Self.timerCalls), 1)
        for start in 1...starts {
            if start % startsPerWave == 0 { for timer in 0..<timers { run(functions[timer], &trace) } }
            let chosen = kinds[kind.pick(&generator)]
            run(functions[chosen.functions[chosen.choice.pick(&generator)]], &trace)
            if start % Self.startsPerUpload == 0 {
                let changed = Int.random(in: 0..<functions.count, using: &generator)
                renew(&functions[changed], &trace, &generator)
            }
        }
        return trace
    }

    private func run(_ function: Function, _ trace: inout AccessTrace) {
        for chunk in function.shared { trace.read(chunk) }
        for chunk in function.own { trace.read(chunk) }
    }

    private func makeFunctions(_ trace: inout AccessTrace, _ generator: inout SplitMix64) -> [Function] {
        func layer(_ count: ClosedRange<Int>) -> [Int] {
            (0..<Int.random(in: count, using: &generator)).map { _ in
                trace.addObject(size: Self.sealedLength(&generator))
            }
        }
        let bases = (0..<Self.baseCount).map { _ in layer(60...200) }
        let base = Choice(zipf: 1, count: bases.count)
        var functions: [Function] = []
        while functions.count < Self.functionCount {
            let isLonely = Double.random(in: 0..<1, using: &generator) < Self.lonely
            let chunks = bases[base.pick(&generator)]
            let application = isLonely ? [] : layer(5...40)
            for _ in 0..<(isLonely ? 1 : Int.random(in: 2...6, using: &generator)) {
                // Half of the base is what every program on it reads, of the rest each reads a fifth.
                let read = chunks.enumerated().filter { place, _ in
                    place % 2 == 0 || Int.random(in: 0..<5, using: &generator) == 0
                }
                functions.append(Function(shared: read.map(\.element) + application, own: layer(4...60)))
            }
        }
        return functions.shuffled(using: &generator)
    }

    /// The functions of each kind, with their popularity.
    private func split(_ range: Range<Int>) -> [(functions: Range<Int>, choice: Choice)] {
        let all = Self.kinds.reduce(0) { $0 + $1.functions }
        var from = range.lowerBound
        var share = 0.0
        return Self.kinds.map { kind in
            share += kind.functions / all
            let end = max(min(range.lowerBound + Int(Double(range.count) * share), range.upperBound), from + 1)
            defer { from = end }
            return (from..<end, Choice(zipf: exponent, count: end - from))
        }
    }

    /// A new version in place of the old one.
    private func renew(_ function: inout Function, _ trace: inout AccessTrace, _ generator: inout SplitMix64) {
        guard Double.random(in: 0..<1, using: &generator) < Self.changingUploads else { return }
        let all = Double(function.shared.count + function.own.count)
        let share = -Self.changedShare * log(1 - Double.random(in: 0..<1, using: &generator))
        for _ in 0..<max(1, min(Int((all * share).rounded()), function.own.count)) {
            let place = Int.random(in: 0..<function.own.count, using: &generator)
            function.own[place] = trace.addObject(size: Self.sealedLength(&generator))
        }
    }

    /// Bytes of sealed chunks as images have them: many around 200 KiB, some that did not compress, and tails.
    private static func sealedLength(_ generator: inout SplitMix64) -> Int {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: 512 << 10
        case 1, 2: Int.random(in: 1 << 10...32 << 10, using: &generator)
        case 3: Int.random(in: 256 << 10...512 << 10, using: &generator)
        default: Int.random(in: 128 << 10...256 << 10, using: &generator)
        }
    }
}

extension AccessTrace {
    /// Whether it is one of these workloads, for which the store's policy was chosen.
    var isFunctions: Bool { name.hasPrefix(FunctionWorkload.name) }
}

/// A choice among numbered things with weights.
private struct Choice {
    private let sums: [Double]

    init(weights: [Double]) {
        var sum = 0.0
        sums = weights.map { weight in
            sum += weight
            return sum
        }
    }

    init(zipf exponent: Double, count: Int) {
        self.init(weights: (1...count).map { pow(Double($0), -exponent) })
    }

    func pick(_ generator: inout SplitMix64) -> Int {
        let wanted = Double.random(in: 0..<(sums.last ?? 1), using: &generator)
        var low = 0
        var high = sums.count - 1
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > wanted { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// One image that is read from its first chunk to its last, again and again.
func cycleTrace(chunks: Int, rounds: Int) -> AccessTrace {
    var trace = AccessTrace(name: "a cycle")
    let objects = (0..<chunks).map { trace.addObject(size: (64 << 10) + $0 * 7919 % (256 << 10)) }
    for _ in 0..<rounds { for object in objects { trace.read(object) } }
    return trace
}
