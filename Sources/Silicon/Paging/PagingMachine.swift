import CHost
import GuestMemory
import Processor

/// A machine whose guest has page tables of its own, to be edited in every way there is.
///
/// Frames, of 4096: roots at 1 and 2; fixed tables at 3 to 6, which map the first 4 MiB as a window for everybody; code at 16, the stack
/// at 17; 32 to 47 are tables, at any level and several at once, which also get mapped as data; 48 to 63 are data that begin with INC, RET.
/// Large pages lead to 8 MiB and 10 MiB, or beyond the memory.
final class PagingMachine {
  enum Failure: Error { case noTranslator }
  enum Format: UInt64, CaseIterable { case long, pae, two }

  static let frames = 4096
  static let tables: Range<UInt64> = 32..<48
  static let data: Range<UInt64> = 48..<64
  static let code: UInt64 = 16 << 12
  static let stack: UInt64 = 18 << 12
  /// Where the last run's stores can have been.
  static let touched: [Range<Int>] = [0..<64, 2048..<2056, 2560..<2568]

  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: UnsafeMutablePointer<pv_vcpu> { vcpu.cpu }
  private(set) var format = Format.long
  var window: UInt64 { format == .long ? 0xFFFF_8000_0000_0000 : 0xC000_0000 }

  init(translating: Bool) throws {
    memory = try MachineMemory(frameCount: Self.frames)
    vcpu = VCPU(memory: memory)
    if translating && !vcpu.enableTranslator() { throw Failure.noTranslator }
    vcpu.ownPageTables(physicalBits: 40)
  }

  /// Everything as at first, with empty tables; what was watched and kept stays for the processor to drop.
  func begin(_ format: Format) {
    self.format = format
    memory.setKind(.ram, frames: 0..<Self.frames)
    vcpu.a20Enabled = true
    for range in Self.touched where range.lowerBound > 0 { memory.zero(UInt64(range.lowerBound) << 12, count: range.count << 12) }
    for frame in 0..<64 where frame != 16 { memory.zero(UInt64(frame) << 12, count: 4096) }
    let flags: UInt64 = 0x67
    let identity = { (page: Int) -> UInt64 in UInt64(page) << 12 | flags }
    for root in [0x1000, 0x2000] as [UInt64] {
      switch format {
      case .long: memory.store(0x3000 | flags, at: root + 256 * 8)
      case .pae: memory.store(UInt64(0x4001), at: root + 3 * 8)
      case .two: memory.store(UInt32(0x5000 | flags), at: root + 768 * 4)
      }
    }
    if format == .two {
      for page in 0..<1024 { memory.store(UInt32(truncatingIfNeeded: identity(page)), at: 0x5000 + UInt64(page) * 4) }
    } else {
      memory.store(0x4000 | flags, at: 0x3000)
      memory.store(0x5000 | flags, at: 0x4000)
      memory.store(0x6000 | flags, at: 0x4008)
      for page in 0..<1024 { memory.store(identity(page), at: 0x5000 + UInt64(page) * 8) }
    }
    for frame in Self.data {
      memory.copyIn([0xFF, 0xC0, 0xC3], at: frame << 12)
      memory.store(frame, at: frame << 12 | 8)
    }
    cpu.pointee.cr0 = 0x8001_0033
    cpu.pointee.cr4 = 0x600 | (format == .two ? 0x10 : 0x20)
    cpu.pointee.efer = format == .long ? 0xD01 : 0x800
    cpu.pointee.cr3 = 0x1000
    cpu.pointee.mode = format == .long ? 0 : 1
    let attributes: UInt16 = format == .long ? 0xA9B : 0xC9B
    cpu.pointee.seg.1 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 8, attributes: attributes)
    let flat = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 16, attributes: 0xC93)
    cpu.pointee.seg.0 = flat
    cpu.pointee.seg.2 = flat
    cpu.pointee.seg.3 = flat
    cpu.pointee.cpl = 0
    cpu.pointee.vector_ready = 0
    vcpu.pagingControlsChanged()
  }

  func hasSameMemory(as other: PagingMachine) -> Bool {
    Self.touched.allSatisfy { range in
      guard let a = memory.copyOut(UInt64(range.lowerBound) << 12, count: range.count << 12),
        let b = other.memory.copyOut(UInt64(range.lowerBound) << 12, count: range.count << 12)
      else { return false }
      return a == b
    }
  }
}
