import CHost
import GuestMemory

@testable import Processor

/// A vCPU in protected mode without paging, so that linear addresses are machine addresses.
final class SystemBench {
  static let code: UInt64 = 0x1000
  static let data: UInt64 = 0x4000
  static let stack: UInt64 = 0x9000
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }

  init() throws {
    memory = try MachineMemory(frameCount: 64)
    vcpu = VCPU(memory: memory)
    cpu.pointee.cr0 = 0x11
    cpu.pointee.cr4 = 0x40600
    cpu.pointee.xcr0 = 7
    cpu.pointee.efer = 0xD01
    cpu.pointee.gpr.4 = Self.stack
  }

  /// Runs `count` instructions at the code address; stops early at an exit, which is returned.
  @discardableResult func run(_ bytes: [UInt8], count: Int = 1) -> Exit {
    // A jump to itself ends the decoded block.
    memory.copyIn(bytes + [0xEB, 0xFE], at: Self.code)
    cpu.pointee.rip = Self.code
    return vcpu.run(until: vcpu.now &+ UInt64(count))
  }
}
