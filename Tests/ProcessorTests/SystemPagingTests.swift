import CHost
import Testing

@testable import Processor

/// System instructions under paging, at CPL 3.
@Suite struct SystemPagingTests {
  func entry(_ page: UInt64) -> UInt64 { 0x4000 + page * 8 }

  @Test func descriptorTablesNeedNoUserAccess() throws {
    // mov fs, ax
    let machine = try TestMachine([0x8E, 0xE0, 0x8E, 0xE0])
    let cpu = machine.cpu
    machine.memory.store(UInt64(0x12C0_F234_5678_0FFF), at: 0x25008)
    // A supervisor page.
    machine.memory.store(UInt64(0x25003), at: entry(0x25))
    cpu.pointee.gdt = pv_segment(base: 0x25000, limit: 15, selector: 0, attributes: 0)
    cpu.pointee.gpr.0 = 0xB
    #expect(machine.vcpu.run(until: 1) == .deadline)
    #expect(cpu.pointee.seg.4.base == 0x1234_5678)
    #expect(machine.memory.load(0x25008, as: UInt64.self) == 0x12C0_F334_5678_0FFF)
    // No page: a supervisor's page fault.
    machine.memory.store(UInt64(0), at: entry(0x25))
    machine.vcpu.flushTranslations()
    #expect(machine.vcpu.run(until: 2) == .exception(vector: 14, errorCode: 0))
    #expect(cpu.pointee.cr2 == 0x25008)
    #expect(cpu.pointee.seg.4.base == 0x1234_5678)
  }

  @Test func savesAreAllOrNothing() throws {
    // fxsave64 [rsi]; xsave [rsi]; fnsave [rsi]; pushf
    let machine = try TestMachine([0x48, 0x0F, 0xAE, 0x06])
    let cpu = machine.cpu
    let at: UInt64 = 0x21000 - 256
    cpu.pointee.gpr.6 = at
    cpu.pointee.gpr.0 = 7
    machine.memory.copyIn([UInt8](repeating: 0xAA, count: 512), at: at)
    machine.memory.store(UInt64(0x21005), at: entry(0x21))
    for code in [[0x48, 0x0F, 0xAE, 0x06], [0x0F, 0xAE, 0x26], [0x0F, 0xC7, 0x26]] as [[UInt8]] {
      machine.memory.copyIn(code, at: TestMachine.code)
      cpu.pointee.rip = TestMachine.code
      #expect(machine.vcpu.run(until: machine.vcpu.now + 1) == .exception(vector: 14, errorCode: 7))
      // The last byte is touched first.
      #expect(cpu.pointee.cr2 & ~4095 == 0x21000)
      #expect(machine.memory.copyOut(at, count: 256) == [UInt8](repeating: 0xAA, count: 256))
    }
    machine.memory.store(UInt64(0x21007), at: entry(0x21))
    machine.vcpu.flushTranslations()
    cpu.pointee.gpr.6 = at
    #expect(machine.vcpu.run(until: machine.vcpu.now + 1) == .deadline)
  }

  @Test func steppedClock() throws {
    // rdtsc; nop
    let machine = try TestMachine([0x0F, 0x31, 0x90])
    machine.vcpu.advance(cycles: 1000)
    let start = machine.vcpu.now
    machine.cpu.rflags = Flag.tf | 2
    #expect(machine.vcpu.run(until: start + 50) == .exception(vector: 1, errorCode: nil))
    #expect(machine.cpu.pointee.gpr.0 == start + 1)
    #expect(machine.vcpu.now == start + 1)
    #expect(machine.cpu.pointee.deadline == start + 50)
  }
}
