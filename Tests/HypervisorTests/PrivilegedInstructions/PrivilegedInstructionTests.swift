import CHost
import Processor
import Testing

@testable import Hypervisor

/// Instructions that raise #GP(0) at CPL 3 and that the hypervisor carries out, or does not.
struct PrivilegedInstructionTests {
  let h: EventsHarness
  let handler: UInt64 = EventsHarness.code + 0x800
  init() throws {
    h = try EventsHarness()
    h.handler(13, handler)
    h.handler(6, handler + 16)
  }

  /// Runs the instruction as the processor would report it; whether it was carried out.
  @discardableResult private func execute(_ bytes: UInt8...) -> Bool {
    h.put(code: bytes)
    h.domain.handle(.exception(vector: 13, errorCode: 0), h.v)
    if h.cpu.pointee.rip == EventsHarness.code + UInt64(bytes.count) { return true }
    #expect(h.cpu.pointee.rip == handler)
    #expect(h.frame(2) == 0)
    #expect(h.frame(3) == EventsHarness.code)
    return false
  }

  private func readMSR(_ number: UInt64) -> UInt64? {
    h.cpu.pointee.gpr.1 = number
    guard execute(0x0F, 0x32) else { return nil }
    return h.cpu.pointee.gpr.2 << 32 | h.cpu.pointee.gpr.0
  }

  private func writeMSR(_ number: UInt64, _ value: UInt64) -> Bool {
    h.cpu.pointee.gpr.1 = number
    h.cpu.pointee.gpr.0 = value & 0xFFFF_FFFF
    h.cpu.pointee.gpr.2 = value >> 32
    return execute(0x0F, 0x30)
  }

  @Test func segmentBasesByMSR() {
    #expect(writeMSR(0xC000_0101, 0xFFFF_FFFF_8200_0000))
    #expect(h.cpu.pointee.seg.5.base == 0xFFFF_FFFF_8200_0000)
    #expect(readMSR(0xC000_0101) == 0xFFFF_FFFF_8200_0000)
    #expect(writeMSR(0xC000_0102, 0x1234))
    #expect(h.v.inactiveGSBase == 0x1234)
    #expect(readMSR(0xC000_0102) == 0x1234)
    #expect(!writeMSR(0xC000_0100, 0x8000_0000_0000))
  }

  @Test func theFirstWriteNeedsNoTrapTable() throws {
    h.v.traps[13] = TrapGate()
    #expect(writeMSR(0xC000_0101, 0x5000))
    #expect(readMSR(0x12345) == 0)
    #expect(h.domain.ended == nil)
  }

  /// What an Intel model answered on real Xen.
  @Test func modelSpecificRegistersRead() {
    for (number, value) in [
      (0x17, 0), (0x1B, 0xFEE0_0900), (0x3A, 1), (0xCE, 0), (0x140, 0), (0x198, 0), (0x199, 0), (0x19C, 0), (0x1A0, 0x801801),
      (0x277, 0x0000_0501_0007_0406), (0x345, 0), (0xC1, 0), (0x38F, 0), (0xC000_0080, 0xD01), (0xC000_0103, 0), (0x4000_0000, 0),
    ] as [(UInt64, UInt64)] { #expect(readMSR(number) == value, "MSR \(number)") }
    for number in [
      0xE7, 0xE8, 0x174, 0x175, 0x176, 0x1D9, 0x200, 0x2FF, 0x600, 0x6E0, 0x802, 0xDA0, 0x122, 0xE1, 0x3B, 0x19A, 0x1B0,
      0xC000_0081, 0xC000_0084, 0xC000_0104, 0xC001_0000, 0xC001_0015, 0xC001_1029, 0x4000_0001, 0x4B56_4D00,
    ] as [UInt64] {
      #expect(readMSR(number) == nil, "MSR \(number)")
    }
  }

  @Test func modelSpecificRegistersWritten() {
    for (number, value, done) in [
      (0x10, 0, false), (0x17, 0, false), (0x1B, 0xFEE0_0900, false), (0x8B, 0, true), (0xE7, 0, true), (0x140, 0, true),
      (0x140, 1, false), (0x199, 5, true), (0x19A, 5, true), (0x1A0, 0, true), (0x1B0, 6, true), (0x277, 0, false), (0x1D9, 0, false),
      (0xC000_0080, 0xD01, true), (0xC000_0080, 0x501, false), (0xC000_0081, 0, false), (0x345, 0, false), (0x600, 0, false),
    ] as [(UInt64, UInt64, Bool)] { #expect(writeMSR(number, value) == done, "MSR \(number)") }
    #expect(writeMSR(0x4000_0000, 20 << 12))
    #expect(h.domain.memory.load(20 << 12, as: UInt64.self) == 0x0000_0000_B853_4151)
    #expect(!writeMSR(0x4000_0000, 20 << 12 + 1))
    #expect(!writeMSR(0x4000_0000, 0xFFFF_FFFF_F000))
  }

  @Test func controlRegisters() {
    #expect(execute(0x0F, 0x20, 0xC0))
    #expect(h.cpu.pointee.gpr.0 == 0x8005_0033)
    #expect(execute(0x41, 0x0F, 0x20, 0xE1))
    #expect(h.cpu.pointee.gpr.9 == 0x660)
    h.cpu.pointee.gpr.3 = .max
    #expect(execute(0x0F, 0x22, 0xE3))
    #expect(execute(0x0F, 0x20, 0xE0))
    #expect(h.cpu.pointee.gpr.0 == 0x5066C)
    #expect(h.cpu.pointee.cr4 == 0x5066C)
    h.cpu.pointee.gpr.3 = 0x8005_003B
    #expect(execute(0x0F, 0x22, 0xC3))
    #expect(h.v.taskSwitched)
    #expect(execute(0x0F, 0x06))
    #expect(!h.v.taskSwitched)
    h.cpu.pointee.gpr.3 = 0x8004_0033
    #expect(!execute(0x0F, 0x22, 0xC3))
    #expect(!execute(0x44, 0x0F, 0x20, 0xC0))
    h.v.cr2 = 0x4567
    #expect(execute(0x0F, 0x20, 0xD0))
    #expect(h.cpu.pointee.gpr.0 == 0x4567)
    #expect(execute(0x0F, 0x20, 0xD8))
    #expect(h.cpu.pointee.gpr.0 == 0)
    h.cpu.pointee.gpr.0 = 0xFFFF_FFFF_F000
    #expect(!execute(0x0F, 0x22, 0xD8))
  }

  @Test func debugRegistersByMove() {
    h.cpu.pointee.gpr.0 = 0x1000
    #expect(execute(0x0F, 0x23, 0xC8))
    #expect(execute(0x0F, 0x21, 0xCB))
    #expect(h.cpu.pointee.gpr.3 == 0x1000)
    h.cpu.pointee.gpr.0 = 1 << 13
    #expect(!execute(0x0F, 0x23, 0xF8))
  }

  @Test func portsNeedTheVirtualPrivilegeLevel() {
    #expect(!execute(0xEC))
    #expect(!execute(0xFA))
    h.v.iopl = 1
    h.cpu.pointee.gpr.0 = 0x1111_1111_1111_1111
    h.cpu.pointee.gpr.2 = 0x60
    #expect(execute(0xEC))
    #expect(h.cpu.pointee.gpr.0 == 0x1111_1111_1111_11FF)
    #expect(execute(0x66, 0xED))
    #expect(h.cpu.pointee.gpr.0 == 0x1111_1111_1111_FFFF)
    #expect(execute(0xED))
    #expect(h.cpu.pointee.gpr.0 == 0xFFFF_FFFF)
    #expect(execute(0xE4, 0x21))
    #expect(execute(0xFA))
    #expect(execute(0xFB))
    #expect(h.v.upcallMask == 1)
    h.cpu.pointee.gpr.0 = 0x8000_1234
    h.cpu.pointee.gpr.2 = 0xCF8
    #expect(execute(0xEF))
    h.cpu.pointee.gpr.0 = 0
    #expect(execute(0xED))
    #expect(h.cpu.pointee.gpr.0 == 0x8000_1234)
    h.cpu.pointee.gpr.0 = 0x0D
    #expect(execute(0xE6, 0x70))
    #expect(execute(0xE4, 0x71))
    #expect(h.cpu.pointee.gpr.0 & 0xFF == 0xFF)
    #expect(execute(0xE4, 0x70))
    #expect(h.cpu.pointee.gpr.0 & 0xFF == 0x0D)
    h.enterUser()
    #expect(!execute(0xEC))
  }

  @Test func stringInput() {
    h.v.iopl = 1
    h.cpu.pointee.gpr.1 = 3
    h.cpu.pointee.gpr.2 = 0x1F0
    h.cpu.pointee.gpr.7 = EventsHarness.scratch
    h.put(UInt64(0))
    h.put(code: [0xF3, 0x66, 0x6D])
    for _ in 0..<3 { h.domain.handle(.exception(vector: 13, errorCode: 0), h.v) }
    #expect(h.cpu.pointee.rip == EventsHarness.code + 3)
    #expect(h.get(0, UInt64.self) == 0x0000_FFFF_FFFF_FFFF)
    #expect(h.cpu.pointee.gpr.1 == 0)
    #expect(h.cpu.pointee.gpr.7 == EventsHarness.scratch + 6)
    h.handler(14, handler)
    h.put(code: [0x6C])
    h.cpu.pointee.gpr.7 = 0xDEAD_0000
    h.domain.handle(.exception(vector: 13, errorCode: 0), h.v)
    #expect(h.cpu.pointee.rip == handler)
    #expect(h.frame(2) == 2)
  }

  @Test func theIOBitmapAllowsUsers() {
    h.put(UInt8(0xFD), 0x60 / 8)
    for index in 0..<64 where index != 0x60 / 8 { h.put(UInt8(0xFF), UInt64(index)) }
    h.v.ioBitmap = EventsHarness.scratch
    h.v.ioBitmapPorts = 512
    h.enterUser()
    h.cpu.pointee.gpr.2 = 0x61
    #expect(execute(0xEC))
    h.enterUserIfNeeded()
    h.cpu.pointee.gpr.2 = 0x60
    #expect(!execute(0xEC))
  }

  @Test func extendedControl() {
    h.cpu.pointee.gpr.0 = 7
    h.cpu.pointee.gpr.1 = 0
    h.cpu.pointee.gpr.2 = 0
    h.put(code: [0x0F, 0x01, 0xD1])
    h.domain.handle(.exception(vector: 13, errorCode: 0), h.v)
    #expect(h.cpu.pointee.rip == handler + 16)
    h.v.setCR4(1 << 18)
    h.cpu.pointee.gpr.0 = 7
    #expect(execute(0x0F, 0x01, 0xD1))
    #expect(h.cpu.pointee.xcr0 == 7)
    h.cpu.pointee.gpr.0 = 5
    #expect(!execute(0x0F, 0x01, 0xD1))
    h.cpu.pointee.gpr.0 = 7
    h.cpu.pointee.gpr.1 = 1
    #expect(!execute(0x0F, 0x01, 0xD1))
  }

  @Test func whatIsNotEmulated() {
    h.v.iopl = 1
    #expect(!execute(0xF4))
    #expect(!execute(0x0F, 0x08))
    #expect(!execute(0x0F, 0x01, 0x38))
    #expect(!execute(0x0F, 0x01, 0xF8))
    #expect(!execute(0x0F, 0x07))
    #expect(!execute(0x0F, 0x33))
    #expect(!execute(0x0F, 0x00, 0xD0))
    #expect(execute(0x0F, 0x09))
    for instruction in [[0x0F, 0x32], [0x0F, 0x30], [0x0F, 0x20, 0xC0], [0x0F, 0x06], [0x0F, 0x09]] as [[UInt8]] {
      h.enterUserIfNeeded()
      h.put(code: instruction)
      h.domain.handle(.exception(vector: 13, errorCode: 0), h.v)
      #expect(h.cpu.pointee.rip == handler)
    }
  }

  @Test func steppingOverAnEmulatedInstructionTraps() {
    h.handler(1, handler + 32)
    h.cpu.rflags = 0x302
    h.put(code: [0x0F, 0x09])
    h.domain.handle(.exception(vector: 13, errorCode: 0), h.v)
    #expect(h.cpu.pointee.rip == handler + 32)
    #expect(h.frame(2) == EventsHarness.code + 2)
    #expect(h.frame(4) & 0x10100 == 0x100)
  }

  @Test func selectorFaultsAreTheGuests() {
    h.put(code: [0x0F, 0x32])
    h.domain.handle(.exception(vector: 13, errorCode: 0x9990), h.v)
    #expect(h.cpu.pointee.rip == handler)
    #expect(h.frame(2) == 0x9990)
  }
}

extension EventsHarness {
  func enterUserIfNeeded() { if v.kernelMode { enterUser() } }
}
