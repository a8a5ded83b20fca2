import CHost
import Testing

@testable import Processor

@Suite struct RunLoopTests {
  /// mov ecx, 1000; xor eax, eax; 1: add rax, rcx; dec rcx; jnz 1b; syscall
  static let sum: [UInt8] = [0xB9, 0xE8, 3, 0, 0, 0x31, 0xC0, 0x48, 1, 0xC8, 0x48, 0xFF, 0xC9, 0x75, 0xF8, 0x0F, 5]

  /// Decoding computes with floating point now and then; nothing of that may show in the guest's flags.
  @Test func decodingAcrossPagesLeavesMXCSRAlone() throws {
    let machine = try TestMachine([])
    let start = TestMachine.code + 4096 - 3
    for displacement in 0..<8 as Range<UInt8> {
      // cvtss2si edx, [rax + displacement], of 0; syscall
      machine.memory.copyIn([0xF3, 0x0F, 0x2D, 0x50, displacement, 0x0F, 5], at: start)
      machine.cpu.pointee.rip = start
      machine.cpu.pointee.gpr.0 = TestMachine.data
      #expect(machine.vcpu.run(until: machine.vcpu.now + 100) == .syscall)
      #expect(machine.cpu.pointee.mxcsr == 0x1F80)
    }
  }

  /// What ran over the page's end and no longer does is not looked at in the next page, which may be gone.
  @Test func anInstructionThatNoLongerCrossesPagesNeedsOnePage() throws {
    let machine = try TestMachine([])
    let start = TestMachine.code + 4096 - 3
    // mov eax, 0x050f0001; syscall
    machine.memory.copyIn([0xB8, 1, 0, 0x0F, 5, 0x0F, 5], at: start)
    machine.cpu.pointee.rip = start
    #expect(machine.vcpu.run(until: 100) == .syscall)
    // inc eax; nop
    machine.memory.copyIn([0xFF, 0xC0, 0x90], at: start)
    let entry = 0x4000 + (start >> 12 + 1) * 8
    machine.memory.store(UInt64(0), at: entry)
    machine.vcpu.flushTranslations()
    machine.cpu.pointee.rip = start
    #expect(machine.vcpu.run(until: 200) == .exception(vector: 14, errorCode: 0x14))
    #expect(machine.cpu.pointee.rip == start + 3)
    #expect(machine.cpu.pointee.gpr.0 & 0xFFFF_FFFF == 0x050F_0002)
  }

  @Test func runsALoopAndCountsItsInstructions() throws {
    let machine = try TestMachine(Self.sum)
    #expect(machine.vcpu.run(until: 1_000_000) == .syscall)
    #expect(machine.cpu.pointee.gpr.0 == 500_500)
    #expect(machine.vcpu.now == 2 + 3000 + 1)
    #expect(machine.vcpu.instructions == 3003)
  }

  @Test func stopsAtEveryDeadlineExactlyAndGoesOn() throws {
    let machine = try TestMachine(Self.sum)
    var deadline: UInt64 = 0
    while true {
      deadline += 7
      let exit = machine.vcpu.run(until: deadline)
      if exit == .syscall { break }
      #expect(exit == .deadline)
      #expect(machine.vcpu.now == deadline)
    }
    #expect(machine.cpu.pointee.gpr.0 == 500_500)
    #expect(machine.vcpu.instructions == 3003)
  }

  @Test func aFaultLeavesTheInstructionUndone() throws {
    // inc eax; mov [0x40000000], eax; inc eax
    let machine = try TestMachine([0xFF, 0xC0, 0x89, 4, 0x25, 0, 0, 0, 0x40, 0xFF, 0xC0])
    #expect(machine.vcpu.run(until: 100) == .exception(vector: 14, errorCode: 6))
    #expect(machine.cpu.pointee.cr2 == 0x4000_0000)
    #expect(machine.cpu.pointee.rip == TestMachine.code + 2)
    #expect(machine.vcpu.instructions == 1)
  }

  @Test func codeThatChangesItselfRunsAsChanged() throws {
    // mov byte [rip+1], 0x7f (the immediate of the next instruction); mov al, 1; syscall
    let machine = try TestMachine([0xC6, 5, 1, 0, 0, 0, 0x7F, 0xB0, 1, 0x0F, 5])
    #expect(machine.vcpu.run(until: 100) == .syscall)
    #expect(machine.cpu.pointee.gpr.0 & 0xFF == 0x7F)
  }

  @Test func singleStepTrapsAfterEachInstruction() throws {
    let machine = try TestMachine(Self.sum)
    machine.cpu.rflags = 0x102
    #expect(machine.vcpu.run(until: 100) == .exception(vector: 1, errorCode: nil))
    #expect(machine.cpu.pointee.rip == TestMachine.code + 5)
    #expect(machine.cpu.pointee.dr.6 & 0x4000 != 0)
  }

  @Test func everyRegisteredNameIsAnInstruction() {
    _ = LoweringTable.shared
    #expect(LoweringTable.unknownNames == [])
  }
}
