internal import CacheBase
internal import CacheFiles
internal import Synchronization

/// Reads chunks from the device past the page cache, if it does not have them and nobody has read them lately.
///
/// Such a read costs a third of the processor's time of one that fills the page cache, and the device's full speed is
/// reached with it (docs/decisions/0038-cold-chunks-go-past-the-page-cache.md). Most chunks of an L1 that has gone cold
/// are read once: what they hold is kept above, by the kernel as the file's pages or by the cache in memory. One that
/// is read a second time goes the other way, and is in the page cache for the third.
final class UncachedReads: Sendable {
    /// More runs than that are asked for at once and wait once: here they would wait one after the other.
    private static let mostRuns = 2

    private let data: Descriptor
    /// The same file, opened with O_DIRECT.
    private let device: OpenFile
    private let recent = RecentPlaces()

    /// - Parameter data: stays open as long as this is used. Its first page was just read.
    /// - Returns: `nil` where the filesystem has no such reads, or nobody tells what is in the page cache: the kernel
    ///   before Linux 6.5, and filesystems that keep the pages in another one's file (overlayfs).
    init?(_ data: Descriptor) {
        // The very file, whatever has its name by now.
        guard data.isCached(0..<StoreLayout.pageBytes) == true,
            let device = try? OpenFile.open("/proc/self/fd/\(data.rawValue)", .direct)
        else { return nil }
        self.data = data
        self.device = device
    }

    /// Reads a chunk, if it is one for this way. Blocks.
    ///
    /// - Parameter evenIfKnown: the page cache is not to have it, however often it is read.
    /// - Returns: whether all of it was read; if not, it is to be read the other way, which finds out why.
    func read(_ runs: [ExtentRun], evenIfKnown: Bool) -> Bool {
        guard let first = runs.first, runs.count <= Self.mostRuns else { return false }
        let pages = first.pages
        // The kernel takes pages of a chunk that were read together away together, so that one stands for all.
        guard data.isCached(pages.prefix(StoreLayout.pageBytes)) == false,
            !recent.isKnown(pages.lowerBound / StoreLayout.pageBytes) || evenIfKnown
        else { return false }
        return runs.allSatisfy(read)
    }

    private func read(_ run: ExtentRun) -> Bool {
        let pages = run.pages
        return PieceMemory.withDevicePiece { piece in
            guard pages.count <= piece.count else { return false }
            let room = UnsafeMutableRawBufferPointer(rebasing: piece[..<pages.count])
            // Less at the end of the file, or none: the memory or the place is not one for this device.
            guard let count = try? device.descriptor.read(into: room, at: pages.lowerBound), count == pages.count
            else { return false }
            var position = run.offset - pages.lowerBound
            for place in run.places {
                place.copyMemory(from: UnsafeRawBufferPointer(rebasing: room[position..<position + place.count]))
                position += place.count
            }
            return true
        } ?? false
    }
}

/// The places of a file that were read lately, in bounded memory and without locks: one slot serves many, and the last
/// one noted has it.
private struct RecentPlaces: Sendable {
    /// As many chunks as about 10 GiB have; 128 KiB of memory.
    private static let bits = 15

    private let slots = AtomicSlots(count: 1 << RecentPlaces.bits)

    /// Whether the place with this number (above 0) was noted lately. If not, it is noted now.
    func isKnown(_ number: Int) -> Bool {
        let place = UInt32(truncatingIfNeeded: number)
        // Places are multiples of some number: their product with one that shares no factor is spread.
        let slot = Int((place &* 0x9E37_79B1) >> (32 - Self.bits))
        return slots[slot].pointee.exchange(place, ordering: .relaxed) == place
    }
}
