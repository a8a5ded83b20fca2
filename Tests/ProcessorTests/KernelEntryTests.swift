import CHost
import Random
import Testing

@testable import Processor

/// A kernel's ways in and out on both engines: system calls, interrupts and page faults, cut and interrupted anywhere.
@Suite struct KernelEntryTests {
  /// User code that reads the clock, faults and calls; a kernel that goes through CLI, STI, SWAPGS, CR2, DS, the bases and SYSRET.
  private static func program() -> (code: [UInt8], user: UInt64, call: UInt64, interrupt: UInt64, page: UInt64) {
    var code: [UInt8] = [0x48, 0x0F, 0x07]  // sysret
    func here() -> UInt64 { ModeProgram.start + UInt64(code.count) }
    let user = here()
    code += [0x48, 0xFF, 0xC0, 0x0F, 0x01, 0xF9]  // inc rax; rdtscp
    code += [0x8A, 0x1C, 0x25, 0, 0, 0, 0x40]  // mov bl, [0x40000000]
    code += [0x0F, 0x05, 0xEB, UInt8(bitPattern: -17)]  // syscall; jmp user
    let call = here()
    code += [0x0F, 0x01, 0xF8, 0xFA, 0x41, 0x0F, 0x20, 0xD0, 0x41, 0x8C, 0xD9]  // swapgs; cli; mov r8, cr2; mov r9d, ds
    code += [0xF3, 0x49, 0x0F, 0xAE, 0xCA, 0xF3, 0x49, 0x0F, 0xAE, 0xD2]  // rdgsbase r10; wrfsbase r10
    code += [0xFB, 0x90, 0x49, 0xFF, 0xC7, 0xFB, 0xFA, 0x0F, 0x01, 0xF8]  // sti; nop; inc r15; sti; cli; swapgs
    code += [0x48, 0x0F, 0x07]  // sysret
    let interrupt = here()
    code += [0x49, 0xFF, 0xC6, 0x9C, 0x9D, 0x48, 0xCF]  // inc r14; pushfq; popfq; iretq
    let page = here()
    // add rsp, 8; add qword [rsp], 7; inc r13; iretq
    code += [0x48, 0x83, 0xC4, 0x08, 0x48, 0x83, 0x04, 0x24, 0x07, 0x49, 0xFF, 0xC5, 0x48, 0xCF]
    return (code, user, call, interrupt, page)
  }

  private func machine(translator: Bool, slowly: Bool = false) throws -> ModeMachine {
    let program = Self.program()
    let m = try ModeMachine(ModeProgram(program.code, [:]), translator: translator)
    m.startLong()
    // All have been used before.
    let descriptors: [UInt16: UInt64] = [
      0x18: 0x00AF_9B00_0000_FFFF, 0x20: 0x00CF_9300_0000_FFFF, 0x28: 0x00CF_F300_0000_FFFF, 0x30: 0x00AF_FB00_0000_FFFF,
    ]
    for (selector, descriptor) in descriptors { m.setDescriptor(Int(selector), descriptor) }
    // Where descriptors are somebody else's, frames go the general way.
    if slowly { m.vcpu.descriptorReader = { descriptors[$0 & 0xFFFC].map { .descriptor($0) } ?? .outside } }
    m.vcpu.ownPageTables(physicalBits: 40)
    m.memory.store(UInt64(0x5008), at: ModeMachine.task + 4)
    m.setLongGate(0x40, program.interrupt)
    m.setLongGate(14, program.page)
    m.cpu.pointee.tr = pv_segment(base: ModeMachine.task, limit: 0x67, selector: 0x48, attributes: 0x8B)
    m.cpu.pointee.cr4 |= 1 << 16
    m.cpu.pointee.efer |= 1
    m.cpu.pointee.star = 0x0020_0018 << 32
    m.cpu.pointee.lstar = program.call
    m.cpu.pointee.sfmask = 0x400
    m.cpu.pointee.kernel_gs_base = 0xFFFF_8000_1234_5000
    m.cpu.pointee.tsc_aux = 7
    m.cpu.pointee.gpr.1 = program.user
    m.cpu.pointee.gpr.11 = 0x202
    m.cpu.pointee.gpr.4 = 0x7000
    return m
  }

  @Test(arguments: [3, 40, 400] as [UInt64]) func cutAndInterruptedAnywhere(longest: UInt64) throws {
    let machines = [try machine(translator: false, slowly: true), try machine(translator: true)]
    var random = SeededRandom(seed: longest)
    for round in 0..<3000 {
      let cycles = 1 + random.below(longest)
      let interrupts = random.below(4) == 0
      var exits: [Exit] = []
      for m in machines {
        if interrupts { m.vcpu.interruptRequested = true }
        let exit = m.run(cycles)
        exits.append(exit)
        guard exit == .interruptWindow else { continue }
        m.vcpu.interruptRequested = false
        #expect(m.vcpu.deliver(interrupt: 0x40) == nil)
      }
      let differences = StateCapture(machines[0].vcpu).differences(from: StateCapture(machines[1].vcpu))
      guard exits[0] == exits[1], machines[0].vcpu.now == machines[1].vcpu.now, differences.isEmpty else {
        Issue.record("round \(round): \(exits), \(differences)")
        return
      }
    }
    let gpr = machines[1].cpu.pointee.gpr
    #expect(gpr.13 > 30 && gpr.14 > 100 && gpr.15 > 30)
    #expect(machines[0].vcpu.instructions == machines[1].vcpu.instructions)
  }

  /// Most of it runs without the run loop, once it is translated.
  @Test func goesOnByItself() throws {
    let m = try machine(translator: true)
    guard m.vcpu.translator != nil else { return }
    _ = m.run(10000)
    let before = m.vcpu.runCounters
    _ = m.run(100_000)
    let after = m.vcpu.runCounters
    #expect(after.lookups - before.lookups < 100)
    #expect(after.known - before.known > 5000)
  }

  /// An instruction that crosses pages is translated, and looked at again when its second page has other bytes or is another.
  @Test func crossingInstructions() throws {
    // 1: add rax, 0x01010101, the last four bytes in the next page; dec ecx; jnz 1b; syscall
    let page = TestMachine.code + 4096
    let program: [UInt8] = [0x48, 0x05, 1, 1, 1, 1, 0xFF, 0xC9, 0x75, 0xF6, 0x0F, 0x05]
    let machines = [try TestMachine([]), try TestMachine([])]
    guard machines[1].vcpu.enableTranslator() else { return }
    for m in machines {
      m.memory.copyIn(program, at: page - 2)
      // What the second page is later.
      m.memory.copyIn([9, 9, 9, 9] + Array(program[6...]), at: TestMachine.data)
    }
    for round in 0..<12 {
      var exits: [Exit] = []
      for m in machines {
        // By a device, by the page table, by a guest's own store.
        if round == 3 { m.memory.store(UInt8(5), at: page) }
        if round == 6 {
          m.memory.store(TestMachine.data | 7, at: 0x4000 + (page >> 12) * 8)
          m.vcpu.flushTranslations()
        }
        if round == 9 { m.memory.store(UInt8(7), at: TestMachine.data + 3) }
        m.cpu.pointee.gpr.1 = 20
        m.cpu.pointee.gpr.0 = UInt64(round)
        m.cpu.pointee.rip = page - 2
        exits.append(m.vcpu.run(until: m.vcpu.now + 1000))
      }
      #expect(exits == [.syscall, .syscall])
      let step: UInt64 = round < 3 ? 0x0101_0101 : round < 6 ? 0x0101_0105 : round < 9 ? 0x0909_0909 : 0x0709_0909
      #expect(machines[1].cpu.pointee.gpr.0 == UInt64(round) + 20 * step)
      #expect(StateCapture(machines[0].vcpu).differences(from: StateCapture(machines[1].vcpu)).isEmpty)
    }
    // It is not looked up each time.
    #expect(machines[1].vcpu.runCounters.crossings < machines[0].vcpu.runCounters.crossings / 2)
  }
}
