import CHost
import GuestMemory
import Processor

// Direct paging: the guest's own tables are what the processor walks, so each page of them is checked when it becomes a
// table and each entry when it changes.
//
//  * A frame has one type at a time (`FrameType`) and keeps it while anything counts on it. To be an Ln table it must hold
//    nothing but entries that the guest may have; each of them counts on its target: an L2 entry on an L1 table, a writable
//    L1 entry on a writable page, a read-only one on the page's being there at all.
//  * So no page that is a table is mapped writable, and no table changes but through here.
//  * What may count: entries of validated tables, a pin, a vCPU's CR3, its GDT and LDT. `checkInvariants` counts again.
//
// Results are 0 or a negated error number, the hypercall's own.

/// The page tables of a domain.
public final class PageTables: @unchecked Sendable {
  public let frames: FrameTable
  let memory: MachineMemory
  let base: UnsafeMutableRawPointer
  let info: UnsafeMutablePointer<FrameInfo>
  let frameCount: UInt64

  /// Kept in plain memory: the paths to it are hot.
  struct State {
    /// Translations may be stale until `settle`.
    var flushNeeded = false
    /// There has been an entry that points at a table of its own level (linear page tables).
    var linear = false
    var vcpuCount = 0
    var vcpus: UnsafeMutablePointer<Unmanaged<VCPU>>?
  }
  let state: UnsafeMutablePointer<State>

  /// The domain outlives its page tables.
  unowned(unsafe) var domain: Domain?
  private var pvcpus: [PVCPU] = []
  private var hooks: [WriteHook] = []
  /// Frames of LDT pages in use, per vCPU and page of the table, + 1; 0 where none is.
  var ldtFrames: [[UInt64]] = []

  /// Frames of `holdWritable`.
  var held: [UInt64] = []

  /// What the hook for stores to page tables finds its way with.
  final class WriteHook {
    unowned(unsafe) let tables: PageTables
    unowned(unsafe) let pvcpu: PVCPU
    init(_ tables: PageTables, _ pvcpu: PVCPU) { (self.tables, self.pvcpu) = (tables, pvcpu) }
  }

  public init(frames: FrameTable) {
    self.frames = frames
    memory = frames.memory
    base = frames.memory.base
    info = frames.info
    frameCount = frames.frameCount
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  deinit {
    for v in pvcpus { v.vcpu.cpu.pointee.page_table_write = nil }
    state.pointee.vcpus?.deallocate()
    state.deallocate()
  }

  /// Makes the vCPUs of a domain known: their translations are dropped as tables change, and their stores to level-1 tables
  /// come here. Called by `Domain` when its list changes.
  func attach(_ domain: Domain) {
    self.domain = domain
    for v in pvcpus { v.vcpu.cpu.pointee.page_table_write = nil }
    pvcpus = domain.vcpus
    state.pointee.vcpus?.deallocate()
    let list = UnsafeMutablePointer<Unmanaged<VCPU>>.allocate(capacity: max(pvcpus.count, 1))
    for (n, v) in pvcpus.enumerated() { (list + n).initialize(to: Unmanaged.passUnretained(v.vcpu)) }
    state.pointee.vcpus = list
    state.pointee.vcpuCount = pvcpus.count
    while ldtFrames.count < pvcpus.count { ldtFrames.append(Array(repeating: 0, count: Self.ldtPages)) }
    hooks = pvcpus.map { WriteHook(self, $0) }
    for hook in hooks { installWriteHook(hook) }
  }

  // MARK: Entries

  static let present: UInt64 = 1
  static let writableBit: UInt64 = 2
  static let userBit: UInt64 = 4
  static let accessedDirty: UInt64 = 0x60
  static let guestKernelBit: UInt64 = 1 << 52
  static let addressMask: UInt64 = 0x000F_FFFF_FFFF_F000
  /// PWT, PCD and PAT; higher levels neither PSE nor G.
  static let l1Disallowed: UInt64 = 0x98
  static let upperDisallowed: UInt64 = 0x198
  /// Bits whose change needs no other counts: US, A, D, G, AVL, bits 52 to 63.
  static let harmless: UInt64 = 0xFFF0_0000_0000_0F64
  /// L4 slots that are Xen's.
  static let xenSlots = 256..<272

  @inline(__always) func entries(_ mfn: UInt64) -> UnsafeMutablePointer<UInt64> {
    (base + Int(truncatingIfNeeded: mfn &<< 12)).assumingMemoryBound(to: UInt64.self)
  }

  @inline(__always) func frame(_ entry: UInt64) -> UInt64 { (entry & Self.addressMask) &>> 12 }

  /// An L1 entry as Xen stores it: never supervisor-only, because guest kernels run at CPL 3; what was so is marked.
  @inline(__always) static func adjustL1(_ entry: UInt64) -> UInt64 {
    if entry & present == 0 { return entry }
    if entry & userBit == 0 { return entry | guestKernelBit | userBit }
    return entry & guestKernelBit != 0 ? entry : entry | 0x100
  }

  @inline(__always) static func adjustUpper(_ entry: UInt64, level: Int) -> UInt64 {
    if entry & present == 0 { return entry }
    return level == 4 ? entry | 0x24 : entry | 4
  }

  // MARK: References

  /// Takes a reference to a frame of the guest's.
  @inline(__always) func getPage(_ mfn: UInt64) -> Bool {
    guard frames.belongsToGuest(mfn) else { return false }
    let p = info + Int(truncatingIfNeeded: mfn)
    guard p.pointee.refCount != .max else { return false }
    p.pointee.refCount &+= 1
    return true
  }

  @inline(__always) func putPage(_ mfn: UInt64) {
    let p = info + Int(truncatingIfNeeded: mfn)
    guard p.pointee.refCount != 0 else { return }
    p.pointee.refCount &-= 1
    if p.pointee.refCount == 0 && p.pointee.flags & FrameInfo.released != 0 { frames.free(mfn) }
  }

  /// Takes a use of a frame as `type`; the caller has a reference. The first use as a table checks all of it.
  func getType(_ mfn: UInt64, _ type: FrameType) -> Int64 {
    let p = info + Int(truncatingIfNeeded: mfn)
    if p.pointee.typeCount == 0 {
      p.pointee.set(type)
      p.pointee.typeCount = 1
      p.pointee.flags &= ~FrameInfo.validated
      var result: Int64 = 0
      if type.level == 1 {
        result = validateL1(mfn)
      } else if type.level != 0 {
        result = validateUpper(mfn, type.level)
      } else if type == .descriptors {
        result = validateDescriptors(mfn)
      }
      if result != 0 {
        p.pointee.typeCount = 0
        p.pointee.set(.none)
        return result
      }
      p.pointee.flags |= FrameInfo.validated
      return 0
    }
    let usable = p.pointee.typeBits == type.rawValue && p.pointee.flags & FrameInfo.validated != 0
    guard usable, p.pointee.typeCount != .max else { return XenError.invalid.result }
    p.pointee.typeCount &+= 1
    return 0
  }

  /// Gives a use up; the last one of a table gives up what its entries counted on.
  func putType(_ mfn: UInt64) {
    let p = info + Int(truncatingIfNeeded: mfn)
    guard p.pointee.typeCount != 0 else { return }
    p.pointee.typeCount &-= 1
    guard p.pointee.typeCount == 0 else { return }
    let level = p.pointee.type.level
    if level != 0 && p.pointee.flags & FrameInfo.validated != 0 { devalidate(mfn, level, entries: 512) }
    p.pointee.flags &= ~FrameInfo.validated
    p.pointee.set(.none)
  }

  func getPageAndType(_ mfn: UInt64, _ type: FrameType) -> Int64 {
    guard getPage(mfn) else { return XenError.invalid.result }
    let result = getType(mfn, type)
    if result != 0 { putPage(mfn) }
    return result
  }

  /// Keeps a page writable for good, so that it can never become a table: what the hypervisor itself writes in the guest's
  /// RAM (vcpu_info). False if it is not the guest's or is in use as something else.
  public func holdWritable(_ mfn: UInt64) -> Bool {
    guard frames.isGuestFrame(mfn), getPageAndType(mfn, .writable) == 0 else { return false }
    held.append(mfn)
    return true
  }

  func putPageAndType(_ mfn: UInt64) {
    putType(mfn)
    putPage(mfn)
  }

  // MARK: Translations

  /// A present level-1 entry changed.
  @inline(__always) func entryChanged(_ table: UInt64, _ index: Int) {
    let count = state.pointee.vcpuCount
    guard let list = state.pointee.vcpus else { return }
    var n = 0
    while n < count {
      list[n]._withUnsafeGuaranteedRef {
        $0.pageTableEntryChanged(table: UInt32(truncatingIfNeeded: table), index: index)
      }
      n += 1
    }
  }

  /// A level-1 table was taken out of a level-2 table.
  func tableLeft(_ table: UInt64) {
    guard let list = state.pointee.vcpus else { return }
    for n in 0..<state.pointee.vcpuCount {
      list[n]._withUnsafeGuaranteedRef { $0.pageTableLeft(UInt32(truncatingIfNeeded: table)) }
    }
  }

  /// A frame is no level-3 or level-4 table any more.
  func tableGone(_ table: UInt64, _ level: Int) {
    guard let list = state.pointee.vcpus else { return }
    for n in 0..<state.pointee.vcpuCount {
      list[n]._withUnsafeGuaranteedRef {
        if level == 4 { $0.pageTableRootLeft(table << 12) } else { $0.pageDirectoryLeft(UInt32(truncatingIfNeeded: table)) }
      }
    }
  }

  /// Drops stale translations. Every operation ends with it: before the guest runs and before its memory is read again.
  @inline(__always) func settle() {
    if state.pointee.flushNeeded { flush() }
  }

  @inline(never) private func flush() {
    state.pointee.flushNeeded = false
    for v in pvcpus { v.vcpu.flushTranslations() }
  }
}
