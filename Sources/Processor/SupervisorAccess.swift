import CHost
import GuestMemory

// What the processor itself reads and writes of the guest's linear memory: descriptor tables, task state, the frames of exceptions.
// Such an access is a supervisor's at any privilege level, and RFLAGS.AC does not excuse it (SDM volume 3, 4.6.1).

extension VCPU {
  /// Reads an integer as the processor itself; nothing of a device's. Throws the fault, which is a supervisor's.
  public func loadSystem<T: FixedWidthInteger>(_ linear: UInt64, as: T.Type = T.self) throws(SegmentFault) -> T {
    let size = MemoryLayout<T>.size
    let set = systemSet
    if let set, let host = TranslationSets.host(of: linear, size, in: translations.pointer(to: set), writing: false) {
      return T(littleEndian: host.loadUnaligned(as: T.self))
    }
    let first = min(size, 4096 - Int(linear & 4095))
    let a = try systemAddress(linear, .read, set)
    let b = first < size ? try systemAddress(advanced(linear, first), .read, set) : 0
    var value: T = 0
    for n in 0..<size {
      let byte: UInt8 = memory.load(n < first ? a &+ UInt64(n) : b &+ UInt64(n - first)) ?? 0xFF
      value |= T(truncatingIfNeeded: byte) << T(truncatingIfNeeded: n * 8)
    }
    return value
  }

  /// Writes an integer as the processor itself; nothing is written where any byte faults.
  public func storeSystem<T: FixedWidthInteger>(_ value: T, at linear: UInt64) throws(SegmentFault) {
    let size = MemoryLayout<T>.size
    let set = systemSet
    if let set, let host = TranslationSets.host(of: linear, size, in: translations.pointer(to: set), writing: true) {
      return host.storeBytes(of: value.littleEndian, as: T.self)
    }
    let first = min(size, 4096 - Int(linear & 4095))
    let a = try systemAddress(linear, .write, set)
    if first == size {
      memory.store(value.littleEndian, at: a)
      return
    }
    let b = try systemAddress(advanced(linear, first), .write, set)
    for n in 0..<size {
      memory.store(
        UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: n * 8)), at: n < first ? a &+ UInt64(n) : b &+ UInt64(n - first))
    }
  }

  /// A walk for such an access.
  func walkAsSystem(_ linear: UInt64, _ access: Access) -> Walk {
    cpu.pointee.own_paging != 0 ? walkOwn(linear, access, .system) : walk(linear, access, user: false)
  }

  /// The set of a supervisor without RFLAGS.AC, if there is one.
  private var systemSet: Int? {
    if cpu.pointee.own_paging == 0 { return translations.number(of: cpu.pointee.cr3 & ~4095) }
    let mode = PagingMode(cpu)
    return translations.number(of: mode.paging ? mode.root(cpu.pointee.cr3) : Self.unpaged)
  }

  private func advanced(_ linear: UInt64, _ count: Int) -> UInt64 {
    let next = linear &+ UInt64(count)
    return PagingMode(cpu).long ? next : next & 0xFFFF_FFFF
  }

  private func systemAddress(_ linear: UInt64, _ access: Access, _ set: Int?) throws(SegmentFault) -> UInt64 {
    let walk = walkAsSystem(linear, access)
    if walk.nonCanonical { throw SegmentFault(.gp, 0) }
    if let errorCode = walk.errorCode { throw SegmentFault(.pf, errorCode, linear: linear) }
    if let set, cpu.pointee.own_paging != 0 { fillOwn(linear, walk, access, set: set) }
    return walk.address
  }
}
