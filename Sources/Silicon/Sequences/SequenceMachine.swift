import CHost
import GuestMemory
import Processor

/// A small machine for sequences: two address spaces over the same frames, in which code and data are mapped more than once, to different
/// neighbours, with different rights; and the page tables mapped where a store is offered to the hypervisor, as PV guests see them.
final class SequenceMachine {
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }

  static let frames = 64
  /// Two pages of code and their alias, whose second page is another.
  static let code: UInt64 = 0x11_0000
  static let alias: UInt64 = 0x11_4000
  /// Four pages of data, the last an alias of the first; then one to be read only, one that is not there, one of the supervisor's.
  static let data: UInt64 = 0x12_0000
  static let stack: UInt64 = 0x13_0000
  /// The level-1 table itself, read only.
  static let table: UInt64 = 0x13_8000
  /// Pages whose entries are changed while a sequence runs: the level-1 table's indices.
  static let editable: [UInt64] = [0x111, 0x114, 0x115, 0x120, 0x121, 0x122, 0x123, 0x125]
  private static let codeFrames: [UInt64] = [32, 33, 34]
  private static let dataFrames: [UInt64] = [40, 41, 42, 43]
  private static let noExecute: UInt64 = 1 << 63
  private let atStart: SavedProcessor

  init(translating: Bool) throws {
    memory = try MachineMemory(frameCount: Self.frames)
    vcpu = VCPU(memory: memory)
    let cpu = vcpu.cpu
    cpu.pointee.cr0 = 0x8005_0033
    cpu.pointee.cr4 = 0x5_06A0
    cpu.pointee.efer = 0xD01
    cpu.pointee.xcr0 = 7
    cpu.pointee.cpl = 3
    cpu.pointee.seg.1 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE033, attributes: 0xA_FB)
    cpu.pointee.seg.2 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE02B, attributes: 0xC_F3)
    vcpu.descriptorReader = { _ in .outside }
    vcpu.seed(1)
    if translating && !vcpu.enableTranslator(alwaysMindingNaNs: true) {
      throw SiliconCampaign.Failure.noHost("no executable memory for the translator")
    }
    vcpu.setPageTableBase(0x1000)
    atStart = vcpu.save()
    cpu.pointee.page_table_context = Unmanaged.passUnretained(self).toOpaque()
    cpu.pointee.page_table_write = { context, _, _, address, size, value, probe in
      guard let context else { return 0 }
      let machine = Unmanaged<SequenceMachine>.fromOpaque(context).takeUnretainedValue()
      guard size == 8, address >> 12 == 4 || address >> 12 == 8 else { return 0 }
      // Not the page that runs: until a branch leaves it, whether its entry is looked at again is the engine's own affair.
      if probe == 0, address >> 3 & 511 >= 0x120 { machine.edit(table: address >> 12, index: address >> 3 & 511, value) }
      return 1
    }
    mapAll()
  }

  /// Makes everything that a program can see what it was at first. Translations of code stay in their buffer, out of reach.
  func reset() {
    let (context, hook) = (cpu.pointee.page_table_context, cpu.pointee.page_table_write)
    for frame in 0..<UInt64(Self.frames) { memory.zero(frame << 12, count: 4096) }
    vcpu.restore(atStart)
    (cpu.pointee.page_table_context, cpu.pointee.page_table_write) = (context, hook)
    mapAll()
    vcpu.flushTranslations()
  }

  private func mapAll() {
    for space in 0..<2 as Range<UInt64> {
      let first = 1 + space * 4
      for level in 0..<3 as Range<UInt64> { memory.store((first + level + 1) << 12 | 7, at: (first + level) << 12) }
      let other = space == 1
      func map(_ page: UInt64, _ frame: UInt64, _ rights: UInt64) { memory.store(frame << 12 | rights, at: (first + 3) << 12 + page * 8) }
      map(0x110, 32, 7)
      map(0x111, other ? 34 : 33, 7)
      map(0x114, 32, 7)
      map(0x115, other ? 33 : 34, 7)
      let data: [UInt64] = other ? [41, 40, 42, 41] : [40, 41, 42, 40]
      for page in 0..<4 { map(0x120 + UInt64(page), data[page], 7 | (page == 1 ? Self.noExecute : 0)) }
      map(0x124, 43, 5)
      map(0x126, 44, 3)
      map(0x130, 48, 7)
      map(0x131, 49, 7)
      map(0x138, first + 3, 5)
    }
  }

  /// Changes an entry of a level-1 table, as a hypervisor does that has looked at it: `value` says which of the frames and rights
  /// that there are to choose from.
  func edit(table: UInt64, index: UInt64, _ value: UInt64) {
    guard Self.editable.contains(index) else { return }
    let isCode = index < 0x120
    let frames = isCode ? Self.codeFrames : Self.dataFrames
    var entry = frames[Int(value >> 12 & 63) % frames.count] << 12 | 5
    if value >> 20 & 3 != 0 { entry |= 2 }
    if value >> 22 & 7 == 0 { entry &= ~1 }
    if value >> 25 & 7 == 0 { entry |= Self.noExecute }
    let address = table << 12 + index * 8
    let old = memory.load(address, as: UInt64.self) ?? 0
    memory.store(entry, at: address)
    if old & 1 != 0 { vcpu.pageTableEntryChanged(table: UInt32(table), index: Int(index)) }
  }

  func general(_ register: Int) -> UInt64 {
    UnsafeRawPointer(cpu).load(fromByteOffset: (register & 15) * 8, as: UInt64.self)
  }

  /// Registers 0...15.
  func setGeneral(_ register: Int, _ value: UInt64) {
    UnsafeMutableRawPointer(cpu).storeBytes(of: value, toByteOffset: (register & 15) * 8, as: UInt64.self)
  }
}
