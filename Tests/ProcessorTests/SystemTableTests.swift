import CHost
import Testing

@testable import Processor

/// Descriptor tables that end, and that may not be written; stacks that are none; HLT in single steps.
@Suite struct SystemTableTests {
  /// 64-bit code at level 0 whose #GP and #PF halt.
  private func machine(_ code: [UInt8]) throws -> ModeMachine {
    let m = try ModeMachine(.long)
    m.memory.copyIn(code + [0xF4], at: ModeProgram.start)
    m.startLong()
    for vector in [13, 14] { m.setLongGate(vector, 0x7000 + UInt64(vector)) }
    m.memory.copyIn([UInt8](repeating: 0xF4, count: 32), at: 0x7000)
    m.cpu.pointee.gpr.4 = 0x6000
    m.cpu.pointee.gpr.3 = 0x600
    return m
  }

  /// The table has 8 bytes at F8, and system descriptors of 64-bit mode have 16.
  @Test func secondHalfBeyondTheTable() throws {
    // mov eax, selector; ltr ax or lldt ax
    for (opcode, type) in [(UInt8(0xD8), UInt64(9)), (0xD0, 2)] {
      for selector in [0xF8, 0xE8] {
        let m = try machine([0xB8, UInt8(selector), 0, 0, 0, 0x0F, 0x00, opcode])
        m.setTask(selector, ModeMachine.task, type: type)
        // What lies behind the table would do.
        m.memory.store(UInt64(0), at: ModeMachine.globalTable + 0x100)
        #expect(m.run() == .halt)
        let loaded = opcode == 0xD8 ? m.cpu.pointee.tr : m.cpu.pointee.ldt
        #expect((loaded.selector == 0xE8) == (selector == 0xE8))
        #expect((m.cpu.pointee.rip == 0x700E) == (selector == 0xF8))
        if selector == 0xF8 { #expect(m.load(0x6000 - 48, UInt64.self) == 0xF8) }
      }
    }
    // A call gate: call far qword [rbx]
    let m = try machine([0x48, 0xFF, 0x1B])
    m.memory.store(UInt16(0xF8), at: 0x608)
    m.setDescriptor(0xF8, 0x0000_8C00_0018_7000)
    m.memory.store(UInt64(0), at: ModeMachine.globalTable + 0x100)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x700E)
    #expect(m.load(0x6000 - 48, UInt64.self) == 0xF8)
  }

  /// A far call that cannot mark its code segment as accessed has pushed nothing.
  @Test func markingComesBeforePushing() throws {
    for isGate in [false, true] {
      let m = try machine([0x48, 0xFF, 0x1B])
      m.setDescriptor(0x18, 0x00AF_9B00_0000_FFFF)
      m.setDescriptor(0x30, 0x00AF_9A00_0000_FFFF)
      // A call gate to it at 40.
      m.setDescriptor(0x40, 0x0000_8C00_0030_7000)
      m.setDescriptor(0x48, 0)
      m.memory.store(UInt64(0x7000), at: 0x600)
      m.memory.store(UInt16(isGate ? 0x40 : 0x30), at: 0x608)
      // The same memory at 2 MiB, not to be written.
      m.memory.store(UInt64(0x81), at: 0xA008)
      m.vcpu.flushTranslations()
      m.cpu.pointee.gdt.base = 0x20_0000 + ModeMachine.globalTable
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.rip == 0x700F)
      #expect(m.cpu.pointee.cr2 == 0x20_0000 + ModeMachine.globalTable + 0x35)
      #expect(m.load(0x6000 - 48, UInt64.self) == 3)
      #expect(m.load(0x6000 - 16, UInt64.self) == 0x6000)
    }
  }

  /// HLT with TF set ends at once, in the trap after it.
  @Test func singleStepOverHalt() throws {
    // push 102h; popfq; hlt
    let m = try machine([0x68, 2, 1, 0, 0, 0x9D, 0xF4])
    m.setLongGate(1, 0x7001)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x7002)
    #expect(m.load(0x6000 - 40, UInt64.self) == ModeProgram.start + 7)
    #expect(m.cpu.pointee.dr.6 & 1 << 14 != 0)
    #expect(m.cpu.pointee.rflags & Flag.tf == 0)
  }

  /// A far call that pushes where no address is raises #SS(0), whatever its operand's segment.
  @Test func farCallOntoNoStack() throws {
    for pointer: UInt64 in [0x8000_0000_0100, 0x8000_0000_0008, 0x4000] {
      let m = try machine([0x48, 0xFF, 0x1B])
      m.memory.store(UInt64(0x7000), at: 0x600)
      m.memory.store(UInt16(0x18), at: 0x608)
      for vector in [12, 13] { m.setLongGate(vector, 0x7000 + UInt64(vector), stack: 1) }
      m.cpu.pointee.tr = pv_segment(base: ModeMachine.task, limit: 0x67, selector: 0x48, attributes: 0x8B)
      m.memory.store(UInt64(0x6000), at: ModeMachine.task + 36)
      m.cpu.pointee.gpr.4 = pointer
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.rip == (pointer == 0x4000 ? 0x7001 : 0x700D))
      if pointer != 0x4000 { #expect(m.load(0x6000 - 48, UInt64.self) == 0) }
    }
  }

  /// A task of virtual-8086 mode has a local table, which its monitor goes on with.
  @Test func localTableOfVirtual8086Task() throws {
    let m = try ModeMachine(.tasks)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task)
    m.setTask(0x50, 0xA00)
    m.setTask(0x58, 0xB00, type: 2, limit: 0x1F)
    m.memory.store(UInt32(0x5F00), at: 0xA04)
    m.memory.store(UInt32(0x10), at: 0xA08)
    m.memory.store(UInt32(0x10), at: 0xA20)
    m.memory.store(UInt32(0x2_0002), at: 0xA24)
    for n in UInt64(0)..<6 { m.memory.store(UInt32(0x500), at: 0xA48 + n * 4) }
    m.memory.store(UInt32(0x58), at: 0xA60)
    // HLT is refused.
    m.memory.store(UInt8(0xF4), at: 0x5010)
    m.setGate(13, 0x7100)
    m.memory.store(UInt8(0xF4), at: 0x7100)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == 0x7101)
    #expect(m.load(0x5F00 - 36, UInt32.self) == 0x10)
    #expect(m.cpu.pointee.ldt.selector == 0x58)
    #expect(m.cpu.pointee.ldt.base == 0xB00)
    #expect(m.cpu.pointee.ldt.limit == 0x1F)
  }
}
