import CHost
import Testing

@testable import Processor

/// The processor on its own: every mode, and the ways between them.
@Suite struct ModeTests {
  @Test func powerOn() throws {
    let m = try ModeMachine(.realMode)
    #expect(m.cpu.pointee.rip == 0xFFFF_FFF0)
    #expect(m.vcpu.instructionPointer == 0xFFF0)
    #expect(m.cpu.pointee.seg.1.selector == 0xF000)
    #expect(m.cpu.pointee.cr0 == 0x6000_0010)
    #expect(m.cpu.pointee.gpr.2 == 0x6_06A6)
    #expect(m.cpu.rflags == 2)
    m.cpu.pointee.star = 5
    m.vcpu.initialise(signature: 7)
    #expect(m.cpu.pointee.star == 5)
    #expect(m.cpu.pointee.gpr.2 == 7)
  }

  @Test func realMode() throws {
    let m = try ModeMachine(.realMode)
    m.startReal()
    #expect(m.run() == .halt)
    // The handler saw the address behind INT, and its change of the pushed flags counts.
    #expect(m.load(0x600, UInt16.self) == 0x7C1B)
    #expect(m.load(0x602, UInt16.self) & 1 == 0)
    #expect(m.cpu.pointee.gpr.3 & 1 == 1)
    #expect(m.load(0x604, UInt16.self) == 0x7000)
  }

  @Test(arguments: [false, true]) func roundTrip(translator: Bool) throws {
    let m = try ModeMachine(.roundTrip, translator: translator)
    m.setNarrowSegments()
    m.startReal()
    #expect(m.run() == .halt)
    #expect(m.load(0x600, UInt32.self) == 0x1122_3344)
    #expect(m.load(0x604, UInt32.self) == 0x500)
    #expect(m.load(0x608, UInt64.self) == 0x1122_3344_5566_7788)
    #expect(m.load(0x610, UInt64.self) == 2000 * 2001 / 2)
    #expect(m.load(0x618, UInt32.self) == 0x100)
    // The data segment kept its limit of protected mode, the extra segment its own.
    #expect(m.load(0x620, UInt32.self) == 0x5A5A_5A5A)
    #expect(m.load(0x624, UInt16.self) == 0x7000)
    #expect(m.load(0x626, UInt16.self) == m.load(0x628, UInt16.self))
    #expect(m.load(0x626, UInt16.self) != 0)
    #expect(m.cpu.pointee.mode & 3 == 2)
    #expect(m.cpu.pointee.cr0 & 0x8000_0001 == 0)
  }

  @Test func bothEnginesAgree() throws {
    let machines = try [false, true].map { try ModeMachine(.roundTrip, translator: $0) }
    for m in machines {
      m.setNarrowSegments()
      m.startReal()
      #expect(m.run() == .halt)
    }
    let difference = StateCapture(machines[0].vcpu).differences(from: StateCapture(machines[1].vcpu))
    #expect(difference.isEmpty, "\(difference)")
    #expect(machines[1].vcpu.translatorCounts.blocks > 0)
  }

  @Test func rings() throws {
    let m = try ModeMachine(.rings)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task)
    m.memory.store(UInt32(0x5000), at: ModeMachine.task + 4)
    m.memory.store(UInt32(0x10), at: ModeMachine.task + 8)
    m.setGate(0x80, ModeProgram.rings.at("service"), level: 3)
    m.setGate(13, ModeProgram.rings.at("general"))
    #expect(m.run() == .halt)
    #expect(m.load(0x600, UInt32.self) == 0x2222)
    #expect(m.load(0x604, UInt32.self) == 0)
    #expect(UInt64(m.load(0x608, UInt32.self)) == ModeProgram.rings.at("faulting"))
    #expect(m.cpu.pointee.gpr.1 == 0x6000)
    #expect(m.cpu.pointee.gpr.2 == 0x33)
    #expect(m.cpu.pointee.gpr.6 == 0x5000 - 20)
    #expect(m.cpu.pointee.cpl == 0)
  }

  @Test(arguments: [false, true]) func longMode(translator: Bool) throws {
    let m = try ModeMachine(.long, translator: translator)
    m.startLong()
    m.setTask(0x48, ModeMachine.task)
    m.setDescriptor(0x50, 0)
    m.setDescriptor(0x28, 0x00CF_F200_0000_FFFF)
    m.setDescriptor(0x30, 0x00AF_FA00_0000_FFFF)
    m.memory.store(UInt64(0x5008), at: ModeMachine.task + 4)
    m.memory.store(UInt64(0x4F08), at: ModeMachine.task + 36)
    m.setLongGate(3, ModeProgram.long.at("breakpoint"), stack: 1)
    m.setLongGate(14, ModeProgram.long.at("page"))
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    #expect(gpr.12 == 0x4F00 - 40)
    #expect(gpr.7 == 0x7008)
    #expect(gpr.0 == 0x48 + 500)
    #expect(gpr.13 == ModeProgram.long.at("again") + 2)
    #expect(gpr.14 & 0x202 == 0x202)
    #expect(gpr.15 & 0x202 == 2)
    #expect(gpr.8 == 4)
    #expect(gpr.9 == 0x4000_0000)
    #expect(gpr.10 == 0x33)
    #expect(gpr.6 == ModeProgram.long.at("faulting"))
    #expect(gpr.2 == 0x5000 - 40)
  }

  @Test func interruptWindows() throws {
    let m = try ModeMachine(.shadow)
    m.startReal()
    m.vcpu.interruptRequested = true
    // After STI one more instruction runs.
    #expect(m.run() == .interruptWindow)
    #expect(m.vcpu.instructionPointer == 0x7C0A)
    #expect(m.cpu.pointee.gpr.3 == 0)
    m.vcpu.interruptRequested = false
    let vcpu = m.vcpu
    let ports = m.ports
    m.vcpu.system.portOut = { port, _, _ in
      ports.written.append(port)
      vcpu.interruptRequested = true
    }
    // The next is asked for by a port, at whose instruction interrupts are on.
    #expect(m.run() == .interruptWindow)
    #expect(m.ports.written == [0x10])
    #expect(m.cpu.pointee.gpr.3 == 4)
    #expect(m.cpu.pointee.gpr.1 == 0)
    // Delivered, it goes through the table with interrupts off.
    m.memory.store(UInt32(0x7000), at: 0x22 * 4)
    m.memory.store(UInt8(0xF4), at: 0x7000)
    let back = UInt16(truncatingIfNeeded: m.vcpu.instructionPointer)
    #expect(m.vcpu.deliver(interrupt: 0x22) == nil)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rflags & Flag.if == 0)
    #expect(m.load(0x6800 - 6, UInt16.self) == back)
  }

  @Test func stackLoadsHoldInterruptsOff() throws {
    let m = try ModeMachine(.shadow)
    m.startReal()
    // Up to MOV SS behind the second STI.
    while m.vcpu.instructionPointer != 0x7C0F { #expect(m.run(1) == .deadline) }
    m.vcpu.interruptRequested = true
    #expect(m.run() == .interruptWindow)
    #expect(m.cpu.pointee.gpr.4 == 0x6800)
    #expect(m.cpu.pointee.gpr.3 == 3)
  }

  @Test func nonMaskable() throws {
    let m = try ModeMachine(.shadow)
    m.startReal()
    m.memory.store(UInt32(0x7000), at: 8)
    // INC CX, IRET
    m.memory.store(UInt16(0xCF41), at: 0x7000)
    #expect(m.run(3) == .deadline)
    m.vcpu.nonMaskableRequested = true
    #expect(m.run() == .interruptWindow)
    #expect(m.vcpu.deliverNonMaskable() == nil)
    #expect(!m.vcpu.takesNonMaskable)
    // IRET opens the window again.
    #expect(m.run() == .interruptWindow)
    #expect(m.cpu.pointee.gpr.1 == 1)
    m.vcpu.nonMaskableRequested = false
    #expect(m.run() == .halt)
  }

  @Test func virtual8086() throws {
    let m = try ModeMachine(.virtual8086)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task)
    m.memory.store(UInt32(0x5000), at: ModeMachine.task + 4)
    m.memory.store(UInt32(0x10), at: ModeMachine.task + 8)
    m.setGate(13, ModeProgram.virtual8086.at("general"))
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    // INT n is refused for want of IOPL.
    #expect(gpr.5 == 0)
    #expect(m.load(0x3000 * 16 % 0x10_0000 + 0x10, UInt16.self) == 0x55)
    #expect(gpr.7 == 0x6F0)
    #expect(gpr.2 == 0x200)
    #expect(gpr.1 & 0xFFFF == 0x3000)
    #expect(gpr.3 == 0)
    #expect(m.cpu.pointee.rflags & Flag.vm == 0)
    #expect(m.cpu.pointee.cpl == 0)
  }

  @Test func tasks() throws {
    let m = try ModeMachine(.tasks)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task)
    m.setTask(0x50, 0xA00)
    m.memory.store(UInt32(truncatingIfNeeded: ModeProgram.tasks.at("other")), at: 0xA20)
    m.memory.store(UInt32(0x6800), at: 0xA38)
    for (n, selector) in [UInt32(0x10), 8, 0x10, 0x10, 0, 0].enumerated() { m.memory.store(selector, at: 0xA48 + UInt64(n) * 4) }
    m.setGate(0x40, 0, selector: 0x50, type: 5)
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    #expect(gpr.6 == 0x1234)
    #expect(gpr.3 & 0xFFFF == 0x48)
    #expect(gpr.7 & Flag.nt == 0)
    #expect(gpr.2 == 77)
    #expect(gpr.5 == 0x99)
    // The other task ran twice, nested in this one, and went on where it had stopped.
    #expect(m.load(0xA28, UInt32.self) == 0xABCE || m.load(0xA28, UInt32.self) == 0xABCD)
    #expect(m.load(0xA34, UInt32.self) & 0xFFFF == 0x50)
    #expect(UInt64(m.load(0xA30, UInt32.self)) & Flag.nt != 0)
    #expect(m.load(0xA00, UInt16.self) == 0x48)
    #expect(m.cpu.pointee.tr.selector == 0x48)
    #expect(m.cpu.pointee.cr0 & 8 != 0)
    // Not busy any more.
    #expect(m.load(ModeMachine.globalTable + 0x55, UInt8.self) == 0x89)
    #expect(m.load(ModeMachine.globalTable + 0x4D, UInt8.self) == 0x8B)
  }

  @Test func tripleFault() throws {
    let m = try ModeMachine(.rings)
    m.startProtected()
    // Beyond the interrupt table.
    m.cpu.pointee.idt.limit = 0
    m.memory.store(UInt16(0x0B0F), at: ModeProgram.start)
    #expect(m.run() == .tripleFault)
  }

  @Test func doubleFault() throws {
    let m = try ModeMachine(.rings)
    m.startProtected()
    // HLT with a null stack selector would do: a fault whose handler is not present.
    m.memory.store(UInt16(0x0B0F), at: ModeProgram.start)
    m.setGate(13, 0, selector: 0x70)
    m.setGate(8, 0x7000)
    m.memory.store(UInt8(0xF4), at: 0x7000)
    // LLDT of a selector that does not exist: #GP, whose gate's selector does not exist either.
    m.memory.copyIn([0xB8, 0x70, 0, 0, 0, 0x0F, 0x00, 0xD0], at: ModeProgram.start)
    #expect(m.run() == .halt)
    #expect(m.load(m.cpu.pointee.gpr.4, UInt32.self) == 0)
    #expect(m.cpu.pointee.gpr.4 == 0x7000 - 16)
    #expect(UInt64(m.load(m.cpu.pointee.gpr.4 + 4, UInt32.self)) == ModeProgram.start + 5)
  }

  @Test func limits() throws {
    let m = try ModeMachine(.limits)
    m.startProtected()
    m.setDescriptor(0x58, 0x0040_9200_0000_0FFF)
    m.setDescriptor(0x60, 0x0040_9600_0000_0FFF)
    m.setDescriptor(0x68, 0x00CF_9000_0000_FFFF)
    m.setDescriptor(0x70, 0x00CF_1200_0000_FFFF)
    m.setDescriptor(0x78, 0x0040_9200_0000_0FFF)
    m.setDescriptor(0x80, 0x00CF_1200_0000_FFFF)
    // Each label is behind an access that faults, whose handler goes on there.
    let labels = ["two", "four", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    let vectors: [UInt8] = [13, 13, 13, 13, 13, 13, 12, 11, 12]
    let codes: [UInt32] = [0, 0, 0, 0, 0, 0, 0, 0x70, 0x80]
    for vector in [11, 12, 13] { m.setGate(vector, 0x7100 + UInt64(vector)) }
    for address in UInt64(0x7100)..<0x7110 { m.memory.store(UInt8(0xF4), at: address) }
    func check(_ label: String, _ wanted: UInt8, _ code: UInt32) {
      let vector = UInt8(truncatingIfNeeded: m.cpu.pointee.rip &- 1 &- 0x7100)
      #expect(vector == wanted, "\(label): \(vector)")
      let stack = m.cpu.pointee.seg.2.base + m.cpu.pointee.gpr.4
      #expect(m.load(stack, UInt32.self) == code, "\(label)")
    }
    for (n, label) in labels.enumerated() {
      let exit = m.run()
      if label == "ten" {
        // The handler has no other stack: the delivery of #SS raises the next.
        #expect(exit == .tripleFault)
        #expect(m.cpu.pointee.gpr.4 == 0x1002)
      } else {
        #expect(exit == .halt, "\(label)")
        check(label, vectors[n], codes[n])
      }
      if label == "nine" {
        #expect(m.cpu.pointee.gpr.1 == 2)
        #expect(m.cpu.pointee.gpr.7 == 0x1000)
      }
      m.cpu.pointee.rip = ModeProgram.limits.at(label)
      m.cpu.pointee.gpr.4 = 0x7000
      m.vcpu.setSegment(2, selector: 0x10, descriptor: ModeMachine.descriptors[2])
    }
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == ModeProgram.limits.at("twelve") + 1)
  }

  @Test func breakpoints() throws {
    let m = try ModeMachine(.debugging)
    m.startProtected()
    m.setGate(1, ModeProgram.debugging.at("handler"))
    let wanted: [(status: UInt64, label: String)] = [
      (6, "written"), (4, "read"), (1, "target"), (0x2000, "guarded"), (0x4000, "stepped"),
    ]
    for (status, label) in wanted {
      #expect(m.run() == .halt)
      #expect(m.cpu.pointee.gpr.2 == 0xFFFF_0FF0 | status, "\(label)")
      #expect(m.cpu.pointee.gpr.6 == ModeProgram.debugging.at(label), "\(label)")
    }
    // The instruction with the breakpoint ran once.
    #expect(m.cpu.pointee.gpr.3 == 1)
    #expect(m.run() == .halt)
    #expect(m.cpu.pointee.rip == ModeProgram.debugging.at("last") + 1)
    #expect(m.cpu.attention == 0)
  }

  @Test func callGatesAndPorts() throws {
    let m = try ModeMachine(.gates)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task, limit: 0x67 + 4)
    m.memory.store(UInt32(0x5000), at: ModeMachine.task + 4)
    m.memory.store(UInt32(0x10), at: ModeMachine.task + 8)
    // The map begins behind the TSS: ports 0 to 17 hexadecimal are granted.
    m.memory.store(UInt16(0x68), at: ModeMachine.task + 0x66)
    m.memory.store(UInt32(0xFF00_0000), at: ModeMachine.task + 0x68)
    let inner = ModeProgram.gates.at("inner")
    m.setDescriptor(0x50, inner & 0xFFFF | 8 << 16 | 2 << 32 | 0xEC << 40 | (inner >> 16) << 48)
    m.setGate(13, ModeProgram.gates.at("general"))
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    #expect(gpr.6 == 0x2222)
    #expect(gpr.7 == 0x1111)
    #expect(gpr.1 == 0x6000 - 8)
    #expect(gpr.5 == 8)
    #expect(gpr.3 == 0x6000)
    // A word at the last granted port is half denied.
    #expect(m.ports.written == [0x10])
    #expect(gpr.2 == 0)
    #expect(gpr.0 == ModeProgram.gates.at("denied"))
  }

  @Test func systemEnter() throws {
    let m = try ModeMachine(.systemEnter)
    m.startProtected()
    m.setGate(13, ModeProgram.systemEnter.at("general"))
    m.setTask(0x48, ModeMachine.task)
    m.memory.store(UInt32(0x4000), at: ModeMachine.task + 4)
    m.memory.store(UInt32(0x10), at: ModeMachine.task + 8)
    m.cpu.pointee.tr = pv_segment(base: ModeMachine.task, limit: 0x67, selector: 0x48, attributes: 0x8B)
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    #expect(gpr.6 == 0x5000)
    #expect(gpr.7 == 0x10)
    #expect(gpr.3 & Flag.if == 0)
    #expect(gpr.5 == 0x1B)
    #expect(gpr.0 & 0xFFFF == 0x23)
    // HLT at level 3 is refused; the frame is on the task's stack.
    #expect(m.load(gpr.4 + 4, UInt32.self) == UInt32(truncatingIfNeeded: ModeProgram.systemEnter.at("faulting")))
    #expect(gpr.4 == 0x4000 - 24)
    #expect(m.load(gpr.4 + 16, UInt32.self) == 0x6000)
  }

  @Test func narrowTasks() throws {
    let m = try ModeMachine(.tasks)
    m.startProtected()
    m.setTask(0x48, ModeMachine.task)
    m.setTask(0x50, 0xA00, type: 1, limit: 0x2B)
    m.memory.store(UInt16(truncatingIfNeeded: ModeProgram.tasks.at("other")), at: 0xA0E)
    m.memory.store(UInt16(0x6800), at: 0xA1A)
    for (n, selector) in [UInt16(0x10), 8, 0x10, 0x10].enumerated() { m.memory.store(selector, at: 0xA22 + UInt64(n) * 2) }
    m.setGate(0x40, 0, selector: 0x50, type: 5)
    // The stack pointer's upper half is not the 16-bit task's: it stays within the memory there is.
    m.setDescriptor(0x10, 0x0000_9200_0000_FFFF)
    #expect(m.run() == .halt)
    let gpr = m.cpu.pointee.gpr
    #expect(gpr.6 == 0x1234)
    #expect(gpr.5 == 0x99)
    #expect(gpr.3 & 0xFFFF == 0x48)
    #expect(m.load(0xA12, UInt16.self) == 0xABCD)
    #expect(UInt64(m.load(0xA10, UInt16.self)) & Flag.nt == 0)
    #expect(m.cpu.pointee.tr.selector == 0x48)
  }
}
