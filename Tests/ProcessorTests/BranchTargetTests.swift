import Testing

@testable import Processor

/// Where a computed jump leads is looked up in a table: no address may be taken for an empty place in it.
@Suite struct BranchTargetTests {
  @Test(arguments: [1 << 63, 1, 0, 1 << 47, .max] as [UInt64])
  func addressesThatAreNowhere(target: UInt64) throws {
    let machines = (try TestMachine([]), try TestMachine([]))
    guard machines.1.vcpu.enableTranslator() else { return }
    for program in [[0xFF, 0xE0], [0xFF, 0xD0], [0x50, 0xC3]] as [[UInt8]] {
      for machine in [machines.0, machines.1] { machine.memory.copyIn(program, at: TestMachine.code) }
      for _ in 0..<5 {
        var exits: [Exit] = []
        for machine in [machines.0, machines.1] {
          machine.cpu.pointee.gpr.0 = target
          machine.cpu.pointee.gpr.4 = TestMachine.stack
          machine.cpu.pointee.rip = TestMachine.code
          exits.append(machine.vcpu.run(until: machine.vcpu.now + 10))
        }
        #expect(exits[0] == exits[1])
        #expect(StateCapture(machines.0.vcpu).differences(from: StateCapture(machines.1.vcpu)).isEmpty)
      }
    }
  }
}
