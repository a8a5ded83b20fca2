import CHost
import Processor
import Testing

@testable import Hypervisor

/// The iret hypercall, with good frames and bad ones.
struct IretTests {
  let h: EventsHarness
  let handler: UInt64 = EventsHarness.code + 0x800
  init() throws {
    h = try EventsHarness()
    h.handler(13, handler)
  }

  private func iret(
    rip: UInt64 = 0x7000, cs: UInt64 = 0xE033, rflags: UInt64 = 0x202, rsp: UInt64 = EventsHarness.userStackTop, ss: UInt64 = 0xE02B,
    flags: UInt64 = 0
  ) {
    let at = EventsHarness.kernelStackTop - 0x400
    for (index, word) in [0xAA, 0xBB, 0xCC, flags, rip, cs, rflags, rsp, ss].enumerated() {
      _ = h.v.vcpu.writeGuest(at + UInt64(index) * 8, word)
    }
    h.cpu.pointee.gpr.4 = at
    h.call(23)
  }

  @Test func toUserMode() {
    iret()
    #expect(!h.v.kernelMode)
    #expect(h.cpu.pointee.cr3 == 4 << 12)
    #expect(h.cpu.pointee.rip == 0x7000)
    #expect(h.cpu.pointee.gpr.4 == EventsHarness.userStackTop)
    #expect([h.cpu.pointee.gpr.0, h.cpu.pointee.gpr.11, h.cpu.pointee.gpr.1] == [0xAA, 0xBB, 0xCC])
    #expect(h.v.upcallMask == 0)
  }

  @Test func toTheKernelOnTheGuestsOwnSelectors() {
    iret(cs: 0x10, rflags: 0x77602, ss: 0x18)
    #expect(h.v.kernelMode)
    // IOPL and VM are dropped; RF lasts for the first instruction.
    #expect(h.cpu.rflags == 0x54602)
    #expect(h.cpu.pointee.seg.1.selector == 0x13)
    #expect(h.cpu.pointee.seg.2.selector == 0x1B)
    #expect(h.cpu.pointee.mode == 0)
    // The next hypercall is on the flat ones again.
    _ = h.call(17, 0)
    #expect(h.cpu.pointee.seg.1.selector == 0xE033)
    #expect(h.cpu.pointee.seg.2.selector == 0xE02B)
  }

  @Test func toCompatibilityMode() {
    iret(cs: 0x23, rsp: 0x1_2345_6789, ss: 0x2B)
    #expect(h.cpu.pointee.mode == 1)
    #expect(h.cpu.pointee.seg.1.selector == 0x23)
    #expect(h.cpu.pointee.gpr.4 == 0x2345_6789)
    #expect(!h.v.kernelMode)
  }

  @Test func maskFollowsTheInterruptFlag() {
    iret(rflags: 2)
    #expect(h.v.upcallMask == 1)
    #expect(h.cpu.rflags == 0x202)
  }

  @Test func insideASystemCallRCXAndR11AreTheTargets() {
    iret(flags: 0x100)
    #expect(h.cpu.pointee.gpr.1 == 0x7000)
    #expect(h.cpu.pointee.gpr.11 == 0x202)
  }

  @Test func dirtyHighBitsOfTheSelectorAreHarmless() {
    iret(cs: 0x101_E030)
    #expect(h.v.kernelMode)
    #expect(h.cpu.pointee.rip == 0x7000)
  }

  @Test(
    arguments: [
      (0x1238, 0xE02B, 0x7000, 0x1238, 0x1238), (0xE010, 0xE02B, 0x7000, 0xE010, 0xE010), (0xE00B, 0xE02B, 0x7000, 0xE008, 0xE00B),
      (0x123B, 0xE02B, 0x7000, 0x1238, 0x123B), (0xE033, 0x1238, 0x7000, 0x1238, 0xE033), (0xE033, 0, 0x7000, 0, 0xE033),
      (0xE030, 0, 0x7000, 0, 0xE030), (0xE033, 0xE02B, 0x8000_0000_0000, 0, 0xE033),
    ] as [(UInt64, UInt64, UInt64, UInt64, UInt64)])
  func badTargetsAreProtectionFaultsThere(cs: UInt64, ss: UInt64, rip: UInt64, errorCode: UInt64, savedCS: UInt64) {
    iret(rip: rip, cs: cs, rsp: EventsHarness.userStackTop, ss: ss)
    #expect(h.domain.ended == nil)
    #expect(h.cpu.pointee.rip == handler)
    #expect(h.frame(2) == errorCode)
    #expect(h.frame(3) == rip)
    #expect(h.frame(4) == savedCS)
    #expect(h.frame(5) == 0x202)
    #expect(h.frame(6) == EventsHarness.userStackTop)
    #expect(h.frame(7) == ss | 3)
    let toUser = cs & 3 == 3
    let top = toUser ? EventsHarness.kernelStackTop : EventsHarness.userStackTop
    #expect(h.cpu.pointee.gpr.4 == top - 0x40)
  }

  @Test func toUserModeWithoutATableCrashes() {
    h.v.userTable = 0
    iret()
    #expect(h.domain.ended != nil)
  }
}
