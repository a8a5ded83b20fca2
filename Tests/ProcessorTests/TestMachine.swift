import CHost
import GuestMemory

@testable import Processor

/// A vCPU at CPL 3 in 64-bit mode with identity-mapped memory: pages 8 and up are user pages, read-write-execute; those below, with
/// the page tables, are the supervisor's.
struct TestMachine {
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }
  static let code: UInt64 = 0x10000
  static let data: UInt64 = 0x20000
  static let stack: UInt64 = 0x30000

  init(_ program: [UInt8], frames: Int = 256) throws {
    memory = try MachineMemory(frameCount: frames)
    vcpu = VCPU(memory: memory)
    // L4 at frame 1, L3 at 2, L2 at 3, one L1 at 4 for 2 MiB.
    memory.store(UInt64(0x2000 | 7), at: 0x1000)
    memory.store(UInt64(0x3000 | 7), at: 0x2000)
    memory.store(UInt64(0x4000 | 7), at: 0x3000)
    for page in 0..<min(frames, 512) { memory.store(UInt64(page) << 12 | (page < 8 ? 3 : 7), at: 0x4000 + UInt64(page) * 8) }
    memory.copyIn(program, at: Self.code)
    let state = vcpu.cpu
    state.pointee.cr0 = 0x8005_0033
    state.pointee.cr4 = 0x4_0660 | 1 << 18
    state.pointee.efer = 0xD01
    state.pointee.xcr0 = 7
    state.pointee.cpl = 3
    state.pointee.seg.1 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE033, attributes: 0xA_FB)
    state.pointee.seg.2 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE02B, attributes: 0xC_F3)
    state.pointee.rip = Self.code
    state.pointee.gpr.4 = Self.stack
    vcpu.setPageTableBase(0x1000)
  }
}
