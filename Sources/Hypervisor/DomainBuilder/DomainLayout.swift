/// Where everything lies in a new domain's pseudo-physical memory, and how its bootstrap page tables map it.
///
/// Linux's start of day counts on the order: kernel, start_info, store page, console page, page tables (level 4 first, then
/// 3, 2 and 1), boot stack, at least 512 KiB of mapped room up to a 4 MiB boundary; then, outside that mapping, the ramdisk
/// (if the kernel takes it by frame) and the P2M list with page tables of its own (if the kernel says where to map it).
/// A kernel without those two notes gets ramdisk and list between itself and start_info.
public struct DomainLayout: Equatable, Sendable {
  /// Pages in all.
  public var pages: UInt64
  public var virtualBase: UInt64
  /// Frames are pseudo-physical throughout.
  public var ramdiskFrame: UInt64 = 0
  public var ramdiskPages: UInt64 = 0
  public var ramdiskIsMapped = false
  public var p2mFrame: UInt64 = 0
  public var p2mPages: UInt64 = 0
  /// Where the list is mapped.
  public var p2mAddress: UInt64 = 0
  public var startInfoFrame: UInt64 = 0
  public var storeFrame: UInt64 = 0
  public var consoleFrame: UInt64 = 0
  public var stackFrame: UInt64 = 0
  /// Tables of the mapping at `virtualBase`; the first is the level-4 table.
  public var tables = TableRun()
  /// Tables of the mapping of the P2M list outside it: level 3, 2, 1. Empty if it is inside.
  public var p2mTables = TableRun()
  /// End of the mapping at `virtualBase`, in pages from there.
  public var mappedPages: UInt64 = 0
  /// First frame that nothing of the start of day uses.
  public var firstFree: UInt64 = 0

  /// A run of page-table frames for a contiguous mapping, highest level first.
  public struct TableRun: Equatable, Sendable {
    public var firstFrame: UInt64 = 0
    /// Tables at levels 4, 3, 2, 1; the first is 0 for a run that hangs in another's level-4 table.
    public var counts: [UInt64] = [0, 0, 0, 0]
    public var total: UInt64 { counts.reduce(0, &+) }
    /// The frame of the first table of a level (4...1).
    public func first(level: Int) -> UInt64 {
      var frame = firstFrame
      for index in 0..<(4 - level) { frame = frame &+ counts[index] }
      return frame
    }
  }

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The domain's memory does not hold the kernel and what comes with it.
    case memoryTooSmall(needed: UInt64, pages: UInt64)
    /// The mapping would run over the end of the address space or into Xen's.
    case mappingTooLarge

    public var description: String {
      switch self {
      case .memoryTooSmall(let needed, let pages):
        "the guest has \(pages / 256) MiB of memory, but its kernel and ramdisk need \((needed + 255) / 256) MiB to start; "
          + "give it more with memory="
      case .mappingTooLarge:
        "the kernel and ramdisk are too large for the initial mapping; give a smaller ramdisk"
      }
    }
  }

  /// - Parameter pages: RAM of the domain in pages of 4096 bytes.
  public init(kernel: KernelImage, ramdiskBytes: Int, pages: UInt64) throws(Failure) {
    self.pages = pages
    virtualBase = kernel.notes.virtualBase
    ramdiskPages = (UInt64(ramdiskBytes) + 4095) / 4096
    p2mPages = (pages * 8 + 4095) / 4096
    let listOutside = kernel.notes.initialP2M != nil
    ramdiskIsMapped = ramdiskPages > 0 && !kernel.notes.moduleByFrame
    var next = (kernel.end + 4095) / 4096
    func take(_ count: UInt64) -> UInt64 {
      defer { next += count }
      return next
    }
    if ramdiskIsMapped { ramdiskFrame = take(ramdiskPages) }
    if !listOutside {
      p2mFrame = take(p2mPages)
      p2mAddress = virtualBase &+ p2mFrame << 12
    }
    startInfoFrame = take(1)
    storeFrame = take(1)
    consoleFrame = take(1)
    // The tables map themselves, so their number is found by trying.
    let first = next
    var count: UInt64 = 4
    while true {
      let end = first + count + 1
      mappedPages = (end + 128 + 1023) & ~1023
      tables = Self.run(at: virtualBase, pages: mappedPages, firstFrame: first, withTop: true)
      if tables.total <= count { break }
      count = tables.total
    }
    next = first + tables.total
    stackFrame = take(1)
    guard KernelImage.isGuestAddress(virtualBase &+ (mappedPages << 12 &- 1)), virtualBase &+ (mappedPages << 12 &- 1) >= virtualBase
    else { throw .mappingTooLarge }
    next = mappedPages
    if ramdiskPages > 0 && !ramdiskIsMapped { ramdiskFrame = take(ramdiskPages) }
    if let address = kernel.notes.initialP2M {
      p2mAddress = address
      p2mFrame = take(p2mPages)
      p2mTables = Self.run(at: address, pages: p2mPages, firstFrame: next, withTop: false)
      if p2mTables.counts[1] > 0 && address >> 39 == virtualBase >> 39 {
        // Both would hang in one level-3 table; kernels keep them apart.
        throw .mappingTooLarge
      }
      _ = take(p2mTables.total)
    }
    firstFree = next
    guard next <= pages else { throw .memoryTooSmall(needed: next, pages: pages) }
  }

  /// Tables for `pages` pages from a linear address.
  private static func run(at address: UInt64, pages: UInt64, firstFrame: UInt64, withTop: Bool) -> TableRun {
    guard pages > 0 else { return TableRun(firstFrame: firstFrame) }
    let last = address &+ (pages << 12 &- 1)
    func tables(_ shift: UInt64) -> UInt64 { (last >> shift) &- (address >> shift) &+ 1 }
    return TableRun(firstFrame: firstFrame, counts: [withTop ? 1 : 0, tables(39), tables(30), tables(21)])
  }

  /// Whether a pseudo-physical frame holds one of the bootstrap page tables.
  public func isTable(_ frame: UInt64) -> Bool {
    frame &- tables.firstFrame < tables.total || frame &- p2mTables.firstFrame < p2mTables.total
  }
}
