import CHost
import Processor
import Testing

@testable import Hypervisor

struct HypercallTests {
  let h: EventsHarness
  init() throws { h = try EventsHarness() }

  @Test func whatAHypercallLeavesBehind() {
    h.cpu.pointee.rip = 0x9002
    h.cpu.rflags = 0x44602
    h.cpu.pointee.seg.1.selector = 0x13
    #expect(h.call(17, 0) == 4 << 16 | 17)
    #expect(h.cpu.pointee.gpr.1 == 0x9002)
    #expect(h.cpu.pointee.gpr.11 == 0x44602)
    #expect(h.cpu.rflags == 0x44602)
    #expect(h.cpu.pointee.rip == 0x9002)
    #expect(h.cpu.pointee.seg.1.selector == 0xE033)
  }

  @Test func steppingOverAHypercallTrapsAfterIt() {
    h.handler(1, EventsHarness.code + 0x800)
    h.cpu.pointee.rip = 0x9002
    h.cpu.rflags = 0x302
    h.call(17, 0)
    #expect(h.cpu.pointee.rip == EventsHarness.code + 0x800)
    #expect(h.frame(2) == 0x9002)
    #expect(h.cpu.pointee.dr.6 & 0x4000 != 0)
  }

  @Test func unknownNumbers() {
    for number in [11, 16, 19, 27, 38, 39, 43, 50, 63, 64, 17 + 1 << 32, .max] as [UInt64] { #expect(h.call(number) == -38) }
    #expect([35, 36, 7].map { h.call($0) } == [-13, -13, -13])
    #expect([31, 37, 40, 41, 42, 48].map { h.call($0) } == [-19, -1, -95, -61, -1, -1])
  }

  @Test func multicallsRunInOrderAndKeepEachResult() {
    func entry(_ index: UInt64, _ op: UInt64, _ a: UInt64...) {
      h.put(op, index * 64)
      h.put(UInt64(0x55), index * 64 + 8)
      for n in 0..<6 { h.put(n < a.count ? a[n] : 0, index * 64 + 16 + UInt64(n) * 8) }
    }
    entry(0, 3, 0x18, 0x4444)
    entry(1, 25, 0, 0x1000)
    entry(2, 25, 0, 0x2000)
    entry(3, 13, EventsHarness.scratch, 1)
    entry(4, 99)
    #expect(h.call(13, EventsHarness.scratch, 5) == 0)
    #expect((0..<5).map { h.get($0 * 64 + 8, Int64.self) } == [0, 0, 0, -22, -38])
    #expect(h.v.kernelSP == 0x4444)
    #expect(h.v.kernelSS == 0x1B)
    #expect(h.cpu.pointee.seg.4.base == 0x2000)
    #expect(h.call(13, EventsHarness.scratch, 0) == 0)
    #expect(h.call(13, 0xDEAD_0000, 1) == -14)
    #expect(h.call(13, EventsHarness.scratch, 1) == 0)
    let counts = h.domain.hypercallCounts
    #expect(counts.first { $0.name == "set_segment_base" }?.count == 2)
    #expect(counts.first { $0.name == "unknown" }?.count == 1)
  }

  @Test func versions() {
    h.put(UInt32(0))
    #expect(h.call(17, 6, EventsHarness.scratch) == 0)
    #expect(h.get(4, UInt32.self) == 0x220E0)
    h.put(UInt32(1))
    h.put(UInt32(7), 4)
    #expect(h.call(17, 6, EventsHarness.scratch) == -22)
    #expect(h.get(4, UInt32.self) == 7)
    #expect(h.call(17, 5, EventsHarness.scratch) == 0)
    #expect(h.get(0, UInt64.self) == 0xFFFF_8000_0000_0000)
    #expect(h.call(17, 7) == 4096)
    #expect(h.call(17, 10, EventsHarness.scratch) == -1)
    #expect(h.call(17, 11, EventsHarness.scratch) == -38)
    #expect(h.call(17, 3, 0xDEAD_0000) == -14)
    #expect(h.call(17, 9, EventsHarness.scratch) == 0)
    #expect(h.get(0, UInt64.self) == 0x3E64_6569_6E65_643C)
  }

  @Test func theEmergencyConsole() {
    _ = Array("hello".utf8).withUnsafeBytes { h.v.vcpu.writeGuest(EventsHarness.scratch, from: $0) }
    #expect(h.call(18, 0, 5, EventsHarness.scratch) == 0)
    #expect(h.services.console == Array("hello".utf8))
    #expect(h.call(18, 0, 5, 0xDEAD_0000) == -14)
    #expect(h.call(18, 1, 5, EventsHarness.scratch) == 0)
    #expect(h.call(18, 2, 0, 0) == -38)
  }

  @Test func trapTables() {
    h.put(UInt32(0x1238_0703), 0)
    h.put(UInt64(0xFFFF_FFFF_8100_0000), 8)
    h.put(UInt32(0x0000_0080 | 3 << 8), 16)
    h.put(UInt64(0x1000), 24)
    h.put(UInt64(0), 40)
    #expect(h.call(0, EventsHarness.scratch) == 0)
    #expect(h.v.traps[3].address == 0xFFFF_FFFF_8100_0000)
    #expect(h.v.traps[3].masksEvents && h.v.traps[3].dpl == 3)
    #expect(!h.v.traps[0x80].masksEvents && h.v.traps[0x80].dpl == 3)
    h.put(UInt64(0x8000_0000_0000), 8)
    #expect(h.call(0, EventsHarness.scratch) == -22)
    #expect(h.call(0, 0xDEAD_0000) == -14)
    #expect(h.call(0, 0) == 0)
    #expect(h.v.traps.allSatisfy { $0.address == 0 })
  }

  @Test func callbacks() {
    func register(_ operation: UInt64, type: UInt16, flags: UInt16 = 0, address: UInt64 = 0x5000) -> Int64 {
      h.put(type, 0)
      h.put(flags, 2)
      h.put(address, 8)
      return h.call(30, operation, EventsHarness.scratch)
    }
    #expect(register(0, type: 0) == 0)
    #expect(h.v.eventCallback == Callback(address: 0x5000, masksEvents: true))
    #expect(register(0, type: 2, flags: 1) == 0)
    #expect(h.v.syscallCallback == Callback(address: 0x5000, masksEvents: true))
    #expect(register(0, type: 7) == 0)
    #expect(!h.v.syscall32Callback.masksEvents)
    #expect(register(0, type: 3) == -38)
    #expect(register(0, type: 9) == -38)
    #expect(register(0, type: 1, address: 0x8000_0000_0000) == -22)
    #expect(register(1, type: 0) == -22)
    #expect(register(0, type: 4) == 0)
    #expect(h.v.traps[2].address == 0x5000)
    #expect(register(1, type: 4) == 0)
    #expect(h.v.traps[2].address == 0)
    #expect(register(2, type: 0) == -38)
    #expect(h.call(30, 0, 0xDEAD_0000) == -14)
    #expect(h.call(4, 0x100, 0x200, 0x300) == 0)
    #expect(h.v.syscallCallback.address == 0x300)
  }

  @Test func segmentBases() {
    #expect(h.call(25, 1, 0x1000) == 0)
    #expect(h.call(25, 2, 0x2000) == 0)
    #expect(h.v.inactiveGSBase == 0x1000)
    #expect(h.cpu.pointee.seg.5.base == 0x2000)
    #expect(h.call(25, 0, 0x8000_0000_0000) == -22)
    #expect(h.call(25, 4, 0) == -22)
    #expect(h.call(25, 3, 0x1238) == 0)
    #expect(h.cpu.pointee.seg.5.selector == 0)
    #expect(h.v.inactiveGSBase == 0)
    #expect(h.cpu.pointee.seg.5.base == 0x2000)
    h.domain.memory.store(UInt64(0x12CF_F334_5678_FFFF), at: EventsHarness.gdtPage << 12 + 8 * 7)
    #expect(h.call(25, 3, 0x3B) == 0)
    #expect(h.cpu.pointee.seg.5.selector == 0x3B)
    #expect(h.v.inactiveGSBase == 0x1234_5678)
  }

  @Test func debugRegisters() {
    #expect(h.call(8, 0, 0x1234) == 0)
    #expect(h.call(9, 0) == 0x1234)
    #expect(h.call(8, 1, 0xFFFF_8000_0000_0000) == -1)
    #expect(h.call(8, 1, 0xFFFF_8800_0000_0000) == 0)
    #expect(h.call(8, 1, 0x8000_0000_0000) == -1)
    #expect(h.call(8, 7, 0) == 0)
    #expect(h.call(9, 7) == 0x400)
    #expect(h.call(9, 5) == 0x400)
    #expect(h.call(9, 6) == 0xFFFF_0FF0)
    #expect(h.call(8, 7, 1 << 32) == -22)
    #expect(h.call(8, 7, 1 << 13) == -1)
    #expect(h.call(8, 7, 0x2_0001) == -1)
    #expect(h.call(8, 8, 0) == -19)
    #expect(h.call(8, 7, 1) == 0)
    #expect(h.cpu.pointee.debug_armed == 1)
    h.v.setCR4(8)
    #expect(h.call(8, 5, 0) == -19)
    #expect(h.call(8, 7, 0x2_0001) == 0)
  }

  @Test func physicalDevices() {
    h.put(UInt32(1))
    #expect(h.call(33, 6, EventsHarness.scratch) == 0)
    #expect(h.v.iopl == 1)
    h.put(UInt32(4))
    #expect(h.call(33, 6, EventsHarness.scratch) == -22)
    #expect(h.call(33, 6, 0xDEAD_0000) == -14)
    #expect([0, 3, 11, 18, 33, 99].map { h.call(33, $0, EventsHarness.scratch) } == [Int64](repeating: -38, count: 6))
    #expect([8, 13, 20, 29].map { h.call(33, $0, EventsHarness.scratch) } == [-1, -1, -1, -1])
    #expect([12, 17].map { h.call(33, $0, EventsHarness.scratch) } == [-22, -22])
    h.put(UInt64(0), 0)
    h.put(UInt32(65537), 8)
    #expect(h.call(33, 7, EventsHarness.scratch) == -22)
  }

  @Test func namesForTraces() {
    #expect(HypercallTable.name(32) == "event_channel_op")
    #expect(HypercallTable.operationName(32, 4) == "send")
    #expect(HypercallTable.operationName(33, 0) == nil)
    #expect(HypercallTable.describe(29, HypercallArguments(1, 2)) == "sched_op.block(arg = 0x2)")
    #expect(HypercallTable.describe(14, HypercallArguments(1, 2, 3)) == "update_va_mapping(address = 0x1, entry = 0x2, flags = 0x3)")
    #expect(HypercallTable.describe(99, HypercallArguments()) == "hypercall_99()")
    var seen: [String] = []
    h.domain.hypercallTrace = { seen.append(HypercallTable.describe($1, $2) + " = \($3)") }
    _ = h.call(17, 7)
    #expect(seen == ["xen_version.pagesize(arg = 0x0) = 4096"])
  }
}
