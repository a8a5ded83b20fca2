import CHost
import GuestMemory

@testable import Processor

/// A processor that stands for itself, with 2 MiB of memory and the tables that the mode tests share.
struct ModeMachine {
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }
  static let globalTable: UInt64 = 0x800
  static let interruptTable: UInt64 = 0x1000
  static let task: UInt64 = 0x900
  /// What ports were written.
  final class Ports {
    var written: [UInt16] = []
  }
  let ports = Ports()

  /// Flat segments of 32-bit code and data for levels 0 and 3, 64-bit code, 16-bit segments, and room for a test's own.
  static let descriptors: [UInt64] = [
    0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF, 0x00AF_9A00_0000_FFFF, 0x0000_9A00_0000_FFFF, 0x00CF_F200_0000_FFFF,
    0x00CF_FA00_0000_FFFF, 0x00CF_F200_0000_FFFF, 0x008F_9200_0000_FFFF,
  ]

  init(_ program: ModeProgram, translator: Bool = false) throws {
    memory = try MachineMemory(frameCount: 512)
    vcpu = VCPU(memory: memory)
    if translator { _ = vcpu.enableTranslator() }
    memory.copyIn(program.code, at: ModeProgram.start)
    for (n, descriptor) in Self.descriptors.enumerated() { setDescriptor(n * 8, descriptor) }
    // The operands of LGDT and LIDT.
    memory.store(UInt64(Self.globalTable) << 16 | 0xFF, at: 0x7B0)
    memory.store(UInt64(Self.interruptTable) << 16 | 0xFFF, at: 0x7B8)
    vcpu.powerOn(signature: 0x6_06A6)
    let ports = ports
    vcpu.system.portOut = { port, _, _ in ports.written.append(port) }
  }

  func setDescriptor(_ selector: Int, _ descriptor: UInt64) { memory.store(descriptor, at: Self.globalTable + UInt64(selector)) }

  /// 16-bit data segments at 28 and 30, of 64 KiB and of 4 GiB.
  func setNarrowSegments() {
    setDescriptor(0x28, 0x0000_9200_0000_FFFF)
    setDescriptor(0x30, 0x008F_9200_0000_FFFF)
  }

  /// Begins in real mode at 0000:7C00.
  func startReal() {
    vcpu.startUp(vector: 0)
    cpu.pointee.rip = ModeProgram.start
  }

  /// Begins in 32-bit protected mode at level 0, with flat segments and both tables loaded.
  func startProtected() {
    cpu.pointee.cr0 = 0x11
    loadTables()
    vcpu.setSegment(1, selector: 8, descriptor: Self.descriptors[1])
    for register in [0, 2, 3, 4, 5] { vcpu.setSegment(register, selector: 0x10, descriptor: Self.descriptors[2]) }
    cpu.pointee.rip = ModeProgram.start
    cpu.pointee.gpr.4 = 0x7000
  }

  /// Begins in 64-bit mode at level 0 with 2 MiB mapped for everyone.
  func startLong() {
    for table in UInt64(8)..<11 { memory.store(table < 10 ? (table + 1) << 12 | 7 : 0x87, at: table << 12) }
    cpu.pointee.cr3 = 0x8000
    cpu.pointee.cr4 = 0x20
    cpu.pointee.efer = 0x500
    cpu.pointee.cr0 = 0x8001_0011
    vcpu.flushTranslations()
    loadTables()
    vcpu.setSegment(1, selector: 0x18, descriptor: Self.descriptors[3])
    for register in [0, 2, 3, 4, 5] { vcpu.setSegment(register, selector: 0x10, descriptor: Self.descriptors[2]) }
    vcpu.setPageTableBase(0x8000)
    cpu.pointee.rip = ModeProgram.start
  }

  private func loadTables() {
    cpu.pointee.gdt = pv_segment(base: Self.globalTable, limit: 0xFF, selector: 0, attributes: 0)
    cpu.pointee.idt = pv_segment(base: Self.interruptTable, limit: 0xFFF, selector: 0, attributes: 0)
  }

  /// A TSS descriptor at a selector, of a base and type.
  func setTask(_ selector: Int, _ base: UInt64, type: UInt64 = 9, limit: UInt64 = 0x67) {
    setDescriptor(selector, limit | (base & 0xFF_FFFF) << 16 | (0x80 | type) << 40)
  }

  /// A gate of the 8-byte table.
  func setGate(_ vector: Int, _ offset: UInt64, selector: UInt64 = 8, type: UInt64 = 14, level: UInt64 = 0) {
    memory.store(
      offset & 0xFFFF | selector << 16 | (0x80 | level << 5 | type) << 40 | (offset >> 16) << 48,
      at: Self.interruptTable + UInt64(vector) * 8)
  }

  /// A gate of the 16-byte table.
  func setLongGate(_ vector: Int, _ offset: UInt64, stack: UInt64 = 0, level: UInt64 = 0) {
    let place = Self.interruptTable + UInt64(vector) * 16
    memory.store(
      offset & 0xFFFF | 0x18 << 16 | stack << 32 | (0x8E | level << 5) << 40 | (offset >> 16 & 0xFFFF) << 48, at: place)
    memory.store(offset >> 32, at: place + 8)
  }

  func load<T: FixedWidthInteger & UnsignedInteger>(_ address: UInt64, _: T.Type = T.self) -> T { memory.load(address) ?? 0 }

  /// Runs some cycles.
  func run(_ cycles: UInt64 = 100_000) -> Exit { vcpu.run(until: vcpu.now + cycles) }
}
