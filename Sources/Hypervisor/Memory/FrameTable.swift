import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Every machine frame's owner, type and use counts, and the machine-to-physical table.
///
/// The machine is laid out as
///
///     0 ..< guestRegion        the guest's frames, and free ones that populate_physmap hands out
///     xenBase ..< frameCount   Xen's own: M2P, the tables that map it, shared_info, grant frames
///
/// Nothing is touched per guest frame at start but the M2P, which the guest reads.
/// Invariants of the unsafe parts: `info` has `frameCount` entries and lives as long as the object; a frame number is
/// compared with `frameCount` before it becomes an index. Used from the vCPU's thread only.
public final class FrameTable: @unchecked Sendable {
  public let memory: MachineMemory
  public let order: FrameOrder
  /// Frames the guest starts with.
  public let guestPages: Int
  /// XENMEM_maximum_reservation: what the guest may have at most.
  public let maximumPages: Int
  /// Frames in the machine.
  public let frameCount: UInt64
  /// First frame of Xen's.
  public let xenBase: UInt64
  /// First frame of the M2P and how many it has.
  public let m2pBase: UInt64
  public let m2pFrames: Int
  /// The page-table frame (an L3) that L4 slot 256 points at.
  public let m2pTable: UInt64
  /// Pages the guest has now: XENMEM_current_reservation.
  public private(set) var currentPages: Int

  let info: UnsafeMutablePointer<FrameInfo>
  private let infoBytes: Int
  private let permutation: FramePermutation
  private let guestRegion: UInt64
  private var freeStack: [UInt32] = []
  /// Frames at places >= this in the permutation have never been given to the guest.
  private var nextPlace: UInt64
  private var scanStart: UInt64 = 0
  private var nextXenFrame: UInt64

  public enum Failure: Error, Equatable {
    case machineTooSmall(frames: Int, needed: Int)
    case machineTooLarge(frames: Int)
    case cannotMap(bytes: Int, errno: Int32)
  }

  /// What a domain may have beyond its pages (libxl's slack).
  public static let slackPages = 256
  /// Frames for shared_info, the grant table and the like, unless the caller says otherwise.
  public static let defaultXenFrames = 160

  struct Layout {
    var guestRegion, xenBase, m2pFrames, total: Int
    var m2pL1: Bool { m2pFrames & 511 != 0 }
    var tables: Int { 2 + (m2pL1 ? 1 : 0) }

    init(guestPages: Int, maximumPages: Int, order: FrameOrder, xenFrames: Int) {
      let limit = max(maximumPages, guestPages) + FrameTable.slackPages
      guestRegion = order == .identity ? limit : max(limit, guestPages + guestPages / 4)
      // The M2P covers itself too; whole 2 MiB chunks of it are mapped as large pages and so must be aligned.
      m2pFrames = 0
      xenBase = guestRegion
      total = 0
      var covered = -1
      while covered < total {
        covered = total
        m2pFrames = (covered + 511) / 512
        xenBase = m2pFrames >= 512 ? (guestRegion + 511) & ~511 : guestRegion
        total = xenBase + m2pFrames + tables + xenFrames
      }
    }
  }

  /// Frames that `MachineMemory` must have for a guest of this size.
  public static func machineFramesNeeded(
    guestPages: Int, maximumPages: Int? = nil, order: FrameOrder = .identity, xenFrames: Int = defaultXenFrames
  ) -> Int {
    Layout(guestPages: guestPages, maximumPages: maximumPages ?? guestPages, order: order, xenFrames: xenFrames).total
  }

  /// - Parameters:
  ///   - memory: at least `machineFramesNeeded` frames, all zero; more become Xen's.
  ///   - guestPages: what the guest starts with: pseudo-physical frames 0 ..< guestPages.
  ///   - maximumPages: what it may grow to (the e820 map's end); default `guestPages`.
  public init(
    memory: MachineMemory, guestPages: Int, maximumPages: Int? = nil, order: FrameOrder = .identity,
    xenFrames: Int = defaultXenFrames
  ) throws {
    let layout = Layout(
      guestPages: guestPages, maximumPages: maximumPages ?? guestPages, order: order, xenFrames: xenFrames)
    guard memory.frameCount >= layout.total else {
      throw Failure.machineTooSmall(frames: memory.frameCount, needed: layout.total)
    }
    // One L2 of the M2P's own table reaches this far, and the free stack holds 32-bit numbers.
    guard layout.m2pFrames <= 512 * 512 else { throw Failure.machineTooLarge(frames: layout.total) }
    self.memory = memory
    self.order = order
    self.guestPages = guestPages
    self.maximumPages = max(maximumPages ?? guestPages, guestPages) + Self.slackPages
    frameCount = UInt64(layout.total)
    guestRegion = UInt64(layout.guestRegion)
    xenBase = UInt64(layout.xenBase)
    m2pBase = UInt64(layout.xenBase)
    m2pFrames = layout.m2pFrames
    m2pTable = UInt64(layout.xenBase + layout.m2pFrames)
    nextXenFrame = UInt64(layout.xenBase + layout.m2pFrames + layout.tables)
    currentPages = guestPages
    nextPlace = UInt64(guestPages)
    permutation = FramePermutation(count: layout.guestRegion, order: order)

    infoBytes = layout.total * MemoryLayout<FrameInfo>.stride
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let p = mmap(nil, infoBytes, PROT_READ | PROT_WRITE, flags, -1, 0), p != MAP_FAILED else {
      throw Failure.cannotMap(bytes: infoBytes, errno: errno)
    }
    info = p.bindMemory(to: FrameInfo.self, capacity: layout.total)
    fillM2P()
    buildM2PTables()
  }

  deinit { munmap(info, infoBytes) }

  // MARK: Owners

  /// The machine frame that holds a pseudo-physical frame at start; nil beyond the initial pages.
  public func machineFrame(of pfn: Int) -> UInt64? {
    pfn >= 0 && pfn < guestPages ? permutation.forward(UInt64(pfn)) : nil
  }

  /// The machine frames of the initial pages, by pseudo-physical frame; computed as they are asked for.
  public var initialFrames: LazyMapSequence<Range<Int>, UInt64> {
    let permutation = permutation
    return (0..<guestPages).lazy.map { permutation.forward(UInt64($0)) }
  }

  /// Owner of a frame; nil where the machine has none.
  public func owner(of mfn: UInt64) -> FrameOwner? {
    guard mfn < frameCount else { return nil }
    if mfn >= xenBase { return .xen }
    return belongsToGuest(mfn) ? .guest : .free
  }

  /// Whether a frame is RAM of the guest's: not Xen's and not free.
  public func isGuestFrame(_ mfn: UInt64) -> Bool { mfn < xenBase && belongsToGuest(mfn) }

  public func isGuestFrame(_ mfn: UInt64, _ domain: Domain) -> Bool { isGuestFrame(mfn) }

  /// Whether a back end may write a frame: RAM of the guest's that is no page table, GDT or LDT at the moment.
  public func mayWrite(_ mfn: UInt64) -> Bool {
    guard isGuestFrame(mfn) else { return false }
    let f = info[Int(mfn)]
    return f.typeCount == 0 || f.type == .writable
  }

  /// Whether the guest may refer to a frame: its RAM, and the Xen frames shared with it.
  @inline(__always) func belongsToGuest(_ mfn: UInt64) -> Bool {
    guard mfn < frameCount else { return false }
    let owner = info[Int(truncatingIfNeeded: mfn)].flags & FrameInfo.ownerMask
    if owner == FrameInfo.ownerGuest { return true }
    if owner == FrameInfo.ownerFree { return false }
    return permutation.isIdentity ? mfn < UInt64(guestPages) : resolve(mfn)
  }

  /// Works out the owner of a frame that has not been looked at, and notes it.
  @inline(never) private func resolve(_ mfn: UInt64) -> Bool {
    guard mfn < guestRegion else { return false }
    let isGuest = permutation.inverse(mfn) < UInt64(guestPages)
    info[Int(mfn)].flags |= isGuest ? FrameInfo.ownerGuest : FrameInfo.ownerFree
    return isGuest
  }

  // MARK: Allocation

  /// A zeroed frame of Xen's above all guest frames, M2P entry ~0; nil when they are used up.
  /// - Parameter shared: the guest may map it (shared_info, grant frames), never use it as a page table.
  public func allocateXenFrame(shared: Bool = true) -> UInt64? {
    guard nextXenFrame < frameCount else { return nil }
    let mfn = nextXenFrame
    nextXenFrame += 1
    if shared {
      let p = info + Int(mfn)
      p.pointee.flags = FrameInfo.ownerGuest | FrameInfo.shared | FrameInfo.validated | FrameType.writable.rawValue
      p.pointee.typeCount = 1
      p.pointee.refCount = 1
    }
    return mfn
  }

  /// A zeroed frame for the guest; nil at its limit. The caller sets the M2P.
  /// - Parameters:
  ///   - order: 1 << order consecutive frames, aligned.
  ///   - addressBits: the frames' addresses fit this many bits; 0: anywhere.
  public func allocateGuestFrame(order: Int = 0, addressBits: Int = 0) -> UInt64? {
    guard order >= 0, order <= 18, currentPages <= maximumPages - (1 << order) else { return nil }
    guard let first = allocateForExchange(order: order, addressBits: addressBits) else { return nil }
    currentPages += 1 << order
    return first
  }

  /// As `allocateGuestFrame`, but the frames do not count as the guest's pages yet: others are to go for them.
  func allocateForExchange(order: Int, addressBits: Int) -> UInt64? {
    guard order >= 0, order <= 18 else { return nil }
    let count = 1 << order
    let limited = addressBits > 0 && addressBits < 52
    let end = limited ? min(guestRegion, (UInt64(1) << UInt64(addressBits)) >> 12) : guestRegion
    let found = order == 0 && end == guestRegion ? takeSingle() : scan(count: UInt64(count), end: end)
    guard let first = found else { return nil }
    for mfn in first..<(first + UInt64(count)) {
      let p = info + Int(mfn)
      let kept = p.pointee.flags & FrameInfo.inFreeStack
      p.pointee = FrameInfo(typeCount: 0, refCount: 0, flags: kept | FrameInfo.ownerGuest, linear: 0)
    }
    return first
  }

  func undoExchange(_ first: UInt64, count: UInt64) {
    for mfn in first..<(first + count) { free(mfn) }
  }

  func finishExchange(pages: Int) { currentPages += pages }

  /// Whether a frame is RAM of the guest's that nothing refers to.
  func isUnreferenced(_ mfn: UInt64) -> Bool {
    isGuestFrame(mfn) && info[Int(mfn)].refCount == 0 && info[Int(mfn)].flags & FrameInfo.released == 0
  }

  private func takeSingle() -> UInt64? {
    while let top = freeStack.popLast() {
      info[Int(top)].flags &= ~FrameInfo.inFreeStack
      if !belongsToGuest(UInt64(top)) { return UInt64(top) }
    }
    while nextPlace < guestRegion {
      let mfn = permutation.forward(nextPlace)
      nextPlace += 1
      if !belongsToGuest(mfn) { return mfn }
    }
    return nil
  }

  /// First aligned run of free frames, from where the last search ended.
  private func scan(count: UInt64, end: UInt64) -> UInt64? {
    guard count <= end else { return nil }
    func search(_ from: UInt64, _ to: UInt64) -> UInt64? {
      var start = (from &+ count &- 1) & ~(count &- 1)
      while start &+ count <= to {
        var n: UInt64 = 0
        while n < count, !belongsToGuest(start &+ n) { n += 1 }
        if n == count { return start }
        start &+= count
      }
      return nil
    }
    let from = min(scanStart, end)
    guard let found = search(from, end) ?? search(0, end) else { return nil }
    scanStart = found + count
    return found
  }

  /// The guest gives a frame back. It becomes free at once, or when the last reference to it goes. False if it is not RAM of
  /// the guest's.
  public func release(_ mfn: UInt64) -> Bool {
    guard isGuestFrame(mfn) else { return false }
    let p = info + Int(mfn)
    if p.pointee.flags & FrameInfo.released != 0 { return true }
    p.pointee.flags |= FrameInfo.released
    currentPages -= 1
    setM2P(mfn, Self.invalidM2PEntry)
    if p.pointee.refCount == 0 { free(mfn) }
    return true
  }

  /// The last reference to a released frame is gone.
  func free(_ mfn: UInt64) {
    let p = info + Int(mfn)
    memory.zero(mfn << 12, count: 4096)
    let flags = p.pointee.flags & FrameInfo.inFreeStack
    p.pointee = FrameInfo(typeCount: 0, refCount: 0, flags: flags | FrameInfo.ownerFree, linear: 0)
    if flags == 0 {
      freeStack.append(UInt32(truncatingIfNeeded: mfn))
      p.pointee.flags |= FrameInfo.inFreeStack
    }
    #if canImport(Glibc)
      madvise(memory.base + Int(mfn << 12), 4096, MADV_DONTNEED)
    #endif
  }

  /// Frames the guest can still take.
  public var freePages: Int { maximumPages - currentPages }
}
