import CHost
import Testing

@testable import Processor

/// CR4.VME and CR4.PVI: the virtual interrupt flag, and software interrupts that stay in virtual-8086 mode.
@Suite struct VirtualInterruptTests {
  private static let (vif, vip, iopl) = (Flag.vif, Flag.vip, Flag.iopl)

  /// A program of virtual-8086 mode at 07C0:0000 with its stack at 3000:0100. INT 20h is redirected, INT 21h is not; #GP and INT 21h go
  /// to a HLT at level 0.
  private func program(_ code: [UInt8], cr4: UInt64 = 1, flags: UInt64 = 0) throws -> ModeMachine {
    let m = try ModeMachine(.virtual8086)
    m.startProtected()
    m.memory.copyIn(code + [0x90, 0x90], at: ModeProgram.start)
    m.memory.store(UInt8(0xF4), at: 0x4000)
    for vector in [13, 0x21] { m.setGate(vector, 0x4000, level: 3) }
    // The task's state is at B000: ESP0, SS0, and the ports' map behind 32 bytes of the interrupts'.
    m.memory.store(UInt32(0x5000), at: 0xB004)
    m.memory.store(UInt32(0x10), at: 0xB008)
    m.memory.store(UInt16(0x88), at: 0xB066)
    for byte in UInt64(0)..<32 { m.memory.store(UInt8(byte == 4 ? 0xFE : 0xFF), at: 0xB068 + byte) }
    m.cpu.pointee.tr = pv_segment(base: 0xB000, limit: 0x88, selector: 0x48, attributes: 0x8B)
    // The program's own handler of INT 20h.
    m.memory.store(UInt32(0x0500_0010), at: 0x20 * 4)
    m.cpu.pointee.cr4 = cr4
    m.cpu.rflags = flags | Flag.vm | 2
    m.vcpu.setPrivilege(3)
    for (register, selector) in [UInt16(0), 0x7C0, 0x3000, 0, 0, 0].enumerated() { m.vcpu.setParagraph(register, selector) }
    m.vcpu.updateMode()
    m.cpu.pointee.gpr.4 = 0x100
    m.cpu.pointee.rip = ModeProgram.start
    return m
  }

  private func step(_ m: ModeMachine) { _ = m.vcpu.run(until: m.vcpu.now + 1) }
  /// At level 0, from where the fault's frame was.
  private func hasFaulted(_ m: ModeMachine) -> Bool { m.cpu.pointee.cpl == 0 && m.cpu.pointee.rip == 0x4000 }

  @Test func interruptFlagIsVirtual() throws {
    var m = try program([0xFB, 0xFA])
    step(m)
    #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if) == Self.vif)
    step(m)
    #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if) == 0)
    #expect(!hasFaulted(m))
    // With VIP the monitor has to know of STI.
    m = try program([0xFB], flags: Self.vip)
    step(m)
    #expect(hasFaulted(m))
    // With IOPL 3, IF is IF.
    m = try program([0xFB], flags: Self.iopl)
    step(m)
    #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if) == Flag.if)
    // Without VME, IOPL counts; PVI is another mode's.
    m = try program([0xFB], cr4: 2)
    step(m)
    #expect(hasFaulted(m))
  }

  @Test func flagsOnTheStack() throws {
    // PUSHF and POPF: IF is VIF, IOPL reads 3 and does not change.
    var m = try program([0x9C, 0x9D], flags: Self.vif | 1)
    step(m)
    #expect(m.load(0x300FE, UInt16.self) == 0x3203)
    m.memory.store(UInt16(0x0402), at: 0x300FE)
    step(m)
    #expect(m.cpu.rflags & 0x1F_FFFF == Flag.vm | Flag.df | 2)
    // POPF of TF, and of IF with VIP, are the monitor's; so are the forms of 32 bits.
    for (code, flags, image) in [
      ([0x9D], 0, 0x102), ([0x9D], Self.vip, 0x202), ([0x66, 0x9D], 0, 2), ([0x66, 0x9C], 0, 2), ([0x66, 0xCF], 0, 2),
    ] as [([UInt8], UInt64, UInt16)] {
      m = try program(code, flags: flags)
      m.memory.store(image, at: 0x30100)
      step(m)
      #expect(hasFaulted(m), "\(code)")
      #expect(m.load(0x5000 - 24, UInt32.self) == 0x100, "\(code)")
    }
    m = try program([0x9D])
    m.memory.store(UInt16(0x202), at: 0x30100)
    step(m)
    #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if | Self.iopl) == Self.vif)
  }

  @Test func interruptsStayInside() throws {
    var m = try program([0xCD, 0x20], flags: Self.vif | Self.vip | 1)
    step(m)
    #expect(m.cpu.pointee.seg.1.selector == 0x500)
    #expect(m.vcpu.instructionPointer == 0x10)
    #expect(m.cpu.pointee.gpr.4 == 0xFA)
    #expect(m.load(0x300FA, UInt16.self) == 2)
    #expect(m.load(0x300FC, UInt16.self) == 0x7C0)
    #expect(m.load(0x300FE, UInt16.self) == 0x3203)
    #expect(m.cpu.rflags & (Self.vif | Self.vip | Flag.vm | Self.iopl) == Self.vip | Flag.vm)
    // Back: IRET sets VIF again, which VIP refuses.
    m.memory.store(UInt8(0xCF), at: 0x5010)
    step(m)
    #expect(hasFaulted(m))
    m = try program([0xCD, 0x20], flags: Self.vif)
    m.memory.store(UInt8(0xCF), at: 0x5010)
    step(m)
    step(m)
    #expect(m.vcpu.instructionPointer == 2)
    #expect(m.cpu.pointee.seg.1.selector == 0x7C0)
    #expect(m.cpu.pointee.gpr.4 == 0x100)
    #expect(m.cpu.rflags & (Self.vif | Self.iopl) == Self.vif)
    // With IOPL 3 it is redirected too, and clears IF.
    m = try program([0xCD, 0x20], flags: Self.iopl | Flag.if)
    step(m)
    #expect(m.cpu.pointee.seg.1.selector == 0x500)
    #expect(m.cpu.pointee.rflags & Flag.if == 0)
    #expect(m.load(0x300FE, UInt16.self) == 0x3202)
  }

  @Test func otherInterruptsAreTheMonitors() throws {
    // INT 21h: #GP(0) below IOPL 3, else through the processor's table. INT3 is never redirected.
    var m = try program([0xCD, 0x21])
    step(m)
    #expect(hasFaulted(m))
    #expect(m.load(0x5000 - 40, UInt32.self) == 0)
    m = try program([0xCD, 0x21], flags: Self.iopl)
    step(m)
    #expect(hasFaulted(m))
    #expect(m.load(0x5000 - 36, UInt32.self) == 2)
    // Without VME INT 20h is as any.
    m = try program([0xCD, 0x20], cr4: 0)
    step(m)
    #expect(hasFaulted(m))
    // A map that is not in the TSS refuses.
    m = try program([0xCD, 0x20])
    m.cpu.pointee.tr.limit = 0x67
    step(m)
    #expect(hasFaulted(m))
  }

  @Test func protectedModeHasOneToo() throws {
    for (cr4, flags, faults) in [(UInt64(2), UInt64(0), false), (2, Self.vip, true), (1, 0, true)] {
      let m = try program([0xFB, 0xFA], cr4: cr4, flags: flags)
      m.cpu.pointee.rflags &= ~Flag.vm
      m.vcpu.setSegment(1, selector: 0x33, descriptor: ModeMachine.descriptors[6])
      for register in [0, 2, 3] { m.vcpu.setSegment(register, selector: 0x3B, descriptor: ModeMachine.descriptors[7]) }
      m.cpu.pointee.rip = ModeProgram.start
      step(m)
      #expect(hasFaulted(m) == faults)
      if faults { continue }
      #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if) == Self.vif)
      step(m)
      #expect(m.cpu.pointee.rflags & (Self.vif | Flag.if) == 0)
    }
  }
}
