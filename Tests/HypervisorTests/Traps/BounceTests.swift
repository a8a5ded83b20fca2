import CHost
import Processor
import Testing

@testable import Hypervisor

/// Frames as they were seen on real Xen, word by word from RSP.
struct BounceTests {
  let h: EventsHarness
  let handler: UInt64 = EventsHarness.code + 0x800
  init() throws {
    h = try EventsHarness()
    h.cpu.pointee.gpr.1 = 0x1111
    h.cpu.pointee.gpr.11 = 0xBBBB
  }

  private func expectHandler(_ address: UInt64? = nil) {
    #expect(h.domain.ended == nil)
    #expect(h.cpu.pointee.rip == address ?? handler)
    #expect(h.cpu.pointee.seg.1.selector == 0xE033)
    #expect(h.cpu.pointee.seg.2.selector == 0xE02B)
    #expect(h.v.kernelMode)
    #expect(h.cpu.pointee.cr3 == 0)
  }

  @Test func invalidOpcodeInTheKernel() {
    h.handler(6, handler)
    let sp = EventsHarness.kernelStackTop - 0x803
    h.cpu.pointee.gpr.4 = sp
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    expectHandler()
    #expect(h.cpu.pointee.gpr.4 == (sp & ~15) - 0x38)
    let expected: [UInt64] = [0x1111, 0xBBBB, EventsHarness.code, 0x1_0000_E030, 0x10002, sp, 0xE02B]
    #expect((0..<7).map { h.frame($0) } == expected)
  }

  @Test func invalidOpcodeInUserMode() {
    h.handler(6, handler)
    h.v.upcallMask = 0
    h.enterUser()
    h.cpu.pointee.rip = 0x1234
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    expectHandler()
    #expect(h.cpu.pointee.gpr.4 == EventsHarness.kernelStackTop - 0x38)
    let expected: [UInt64] = [0x1111, 0xBBBB, 0x1234, 0xE033, 0x10202, EventsHarness.userStackTop, 0xE02B]
    #expect((0..<7).map { h.frame($0) } == expected)
  }

  @Test func whichFlagsAHandlerInherits() {
    h.handler(6, handler)
    h.cpu.rflags = 0x47602
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    #expect(h.frame(4) == 0x54402)
    #expect(h.cpu.rflags == 0x602)
    h.cpu.rflags = 0x2476D7
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    #expect(h.cpu.rflags == 0x2006D7)
  }

  @Test func pageFaultsTellUserFromKernelAndGoToVCPUInfo() {
    h.handler(14, handler)
    h.cpu.pointee.cr2 = 0xFFFF_8000_1234_5678
    h.domain.handle(.exception(vector: 14, errorCode: 0x7), h.v)
    expectHandler()
    #expect(h.frame(2) == 3)
    #expect(h.frame(3) == EventsHarness.code)
    #expect(h.shared(0x10, UInt64.self) == 0xFFFF_8000_1234_5678)
    #expect(h.v.cr2 == 0xFFFF_8000_1234_5678)
    h.enterUser()
    h.domain.handle(.exception(vector: 14, errorCode: 0x10), h.v)
    #expect(h.frame(2) == 0x14)
    #expect(h.cpu.pointee.gpr.4 == EventsHarness.kernelStackTop - 0x40)
  }

  @Test func interruptGatesMask() {
    h.handler(6, handler, masks: true)
    h.v.upcallMask = 0
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    #expect(h.v.upcallMask == 1)
    #expect(h.frame(3) == 0xE030)
    #expect(h.frame(4) == 0x10202)
  }

  @Test func trapsHaveNoResumeFlag() {
    h.handler(3, handler)
    h.cpu.rflags = 0x302
    h.domain.handle(.exception(vector: 3, errorCode: nil), h.v)
    #expect(h.frame(4) == 0x102)
    #expect(h.cpu.rflags == 0x202)
  }

  @Test func systemCallsFromUserMode() {
    h.v.syscallCallback = Callback(address: handler, masksEvents: true)
    h.v.upcallMask = 0
    h.enterUser()
    h.cpu.pointee.rip = 0x5002
    h.cpu.rflags = 0x20_3606
    h.domain.handle(.syscall, h.v)
    expectHandler()
    let expected: [UInt64] = [0x5002, 0x20_3606, 0x5002, 0xE033, 0x20_0606, EventsHarness.userStackTop, 0xE02B]
    #expect((0..<7).map { h.frame($0) } == expected)
    #expect(h.v.upcallMask == 1)
    #expect(h.cpu.rflags == 0x606)
  }

  @Test func systemCallsWithoutACallbackAreInvalid() {
    h.handler(6, handler)
    h.enterUser()
    h.cpu.pointee.rip = 0x5002
    h.domain.handle(.syscall, h.v)
    expectHandler()
    #expect((0..<3).map { h.frame($0) } == [0x5002, 0x202, 0x5000])
  }

  @Test func compatibilitySystemCallsHaveTheirOwnCallback() {
    h.v.syscall32Callback = Callback(address: handler)
    h.enterUser()
    h.cpu.pointee.mode = 1
    h.cpu.pointee.rip = 0x5002
    h.domain.handle(.syscall, h.v)
    expectHandler()
    #expect(h.frame(3) & 0xFFFF == 0xE023)
    #expect(h.cpu.pointee.mode == 0)
  }

  @Test func sysenterKnowsNothingOfItsCaller() {
    h.v.sysenterCallback = Callback(address: handler)
    h.v.upcallMask = 0
    h.enterUser()
    h.domain.handle(.sysenter, h.v)
    expectHandler()
    #expect((0..<7).map { h.frame($0) } == [0x1111, 0xBBBB, 0, 3, 0x202, 0, 0xE02B])
  }

  @Test func softwareInterrupts() {
    h.handler(0x80, handler)
    h.handler(0x83, handler)
    h.handler(13, handler + 16)
    func raise(_ vector: UInt8) {
      h.cpu.pointee.rip = 0x6000
      h.cpu.pointee.next_rip = 0x6002
      h.domain.handle(.interrupt(vector: vector), h.v)
    }
    h.enterUser()
    raise(0x80)
    expectHandler()
    #expect(h.frame(2) == 0x6002)
    #expect(h.frame(4) & 0x10000 == 0)
    h.enterUser()
    raise(0x83)
    expectHandler(handler + 16)
    #expect(h.frame(2) == 0x41A)
    #expect(h.frame(3) == 0x6000)
    h.handler(0x83, handler, dpl: 1)
    h.enterUser()
    raise(0x83)
    expectHandler(handler + 16)
    raise(0x83)
    expectHandler()
    #expect(h.frame(2) == 0x6002)
    #expect(h.frame(4) & 0x10000 != 0)
    raise(0x20)
    expectHandler(handler + 16)
    #expect(h.frame(2) == 0x102)
  }

  @Test func eventUpcalls() {
    h.v.eventCallback = Callback(address: handler, masksEvents: true)
    h.setShared(0, UInt8(1))
    h.domain.deliverPendingUpcall(h.v)
    #expect(h.cpu.pointee.rip == EventsHarness.code)
    h.v.upcallMask = 0
    h.enterUser()
    h.domain.deliverPendingUpcall(h.v)
    expectHandler()
    #expect(h.frame(3) == 0xE033)
    #expect(h.frame(4) == 0x202)
    #expect(h.v.upcallMask == 1)
    #expect(h.shared(0, UInt8.self) == 1)
    h.domain.deliverPendingUpcall(h.v)
    expectHandler()
    #expect(h.domain.exits.event == 1)
  }

  @Test func anyPendingByteDeliversAndAnyMaskBitHolds() {
    h.v.eventCallback = Callback(address: handler, masksEvents: true)
    h.setShared(0, UInt8(0x80))
    h.v.upcallMask = 0x80
    h.domain.deliverPendingUpcall(h.v)
    #expect(h.cpu.pointee.rip == EventsHarness.code)
    h.v.upcallMask = 0
    h.domain.deliverPendingUpcall(h.v)
    expectHandler()
  }

  @Test func modesHaveTheirOwnGSBaseAndTables() {
    h.cpu.pointee.seg.5.base = 0xAAAA
    h.v.inactiveGSBase = 0x5555
    h.enterUser()
    #expect(h.cpu.pointee.seg.5.base == 0x5555)
    #expect(h.cpu.pointee.cr3 == 4 << 12)
    h.handler(6, handler)
    h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
    #expect(h.cpu.pointee.seg.5.base == 0xAAAA)
  }

  @Test func taskSwitchedIsReportedOnce() {
    h.handler(7, handler)
    #expect(h.call(5, 1) == 0)
    #expect(h.cpu.pointee.cr0 == 0x8005_003B)
    h.domain.handle(.exception(vector: 7, errorCode: nil), h.v)
    expectHandler()
    #expect(h.cpu.pointee.cr0 == 0x8005_0033)
  }

  @Test func whatCrashesTheDomain() throws {
    func crashed(_ body: (EventsHarness) -> Void) throws -> Bool {
      let h = try EventsHarness()
      h.handler(6, handler)
      body(h)
      if case .crashed = h.domain.ended { return true }
      return false
    }
    #expect(try crashed { $0.domain.handle(.exception(vector: 13, errorCode: 8), $0.v) })
    #expect(
      try crashed {
        $0.cpu.pointee.gpr.4 = 0x1000
        $0.domain.handle(.exception(vector: 6, errorCode: nil), $0.v)
      })
    #expect(
      try crashed {
        $0.cpu.pointee.gpr.4 = 0xFFFF_8000_0000_1000
        $0.domain.handle(.exception(vector: 6, errorCode: nil), $0.v)
      })
    #expect(
      try crashed {
        $0.setShared(0, UInt8(1))
        $0.v.upcallMask = 0
        $0.domain.deliverPendingUpcall($0.v)
      })
    #expect(
      try crashed {
        $0.cpu.pointee.gpr.4 = 0x1000
        $0.call(23)
      })
  }

  @Test func theCrashReportShowsWhereAndWhy() throws {
    h.domain.handle(.exception(vector: 13, errorCode: 8), h.v)
    let report = h.domain.crashReport(h.v)
    #expect(report.contains("exception 13, error code 0x8"))
    #expect(report.contains("RCX 0000000000001111"))
    #expect(report.contains("exception 13 at 0x428000"))
  }
}
