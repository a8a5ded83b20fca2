import CHost
import Random
import Testing

@testable import Processor

/// What keeps a vector operation from running, and what it leaves behind then.
@Suite struct VectorFaultTests {
  let guest = VectorGuest()

  private func vector(_ n: Int) -> SIMD4<UInt64> { (guest.ymm + n * 32).loadUnaligned(as: SIMD4<UInt64>.self) }
  private func set(_ n: Int, _ value: SIMD4<UInt64>) { (guest.ymm + n * 32).storeBytes(of: value, as: SIMD4<UInt64>.self) }

  private func run(_ bytes: [UInt8]) -> UInt32? {
    #expect(guest.prepare(bytes))
    return guest.run()
  }

  @Test func alignmentIsAskedForWhereTheManualAsks() {
    guest.cpu.pointee.gpr.6 = UInt64(UInt(bitPattern: guest.page)) + 1
    let aligned: [[UInt8]] = [
      [0x0F, 0x58, 0x4E, 0x40], [0xC5, 0xFC, 0x28, 0x4E, 0x40], [0x0F, 0x29, 0x4E, 0x40], [0x66, 0x0F, 0xE7, 0x4E, 0x40],
      [0x66, 0x0F, 0x6F, 0x4E, 0x40],
    ]
    for bytes in aligned {
      #expect(run(bytes) == 13)
      #expect(guest.cpu.pointee.has_error_code == 1)
      #expect(guest.cpu.pointee.error_code == 0)
    }
    for bytes: [UInt8] in [[0x0F, 0x10, 0x4E, 0x40], [0xC5, 0xE8, 0x58, 0x4E, 0x40], [0xF3, 0x0F, 0x58, 0x4E, 0x40]] {
      #expect(run(bytes) == nil)
    }
    // VMOVAPS YMM wants 32 bytes.
    guest.cpu.pointee.gpr.6 = UInt64(UInt(bitPattern: guest.page)) + 16
    #expect(run([0xC5, 0xFC, 0x28, 0x4E, 0x40]) == 13)
    #expect(run([0x0F, 0x28, 0x4E, 0x40]) == nil)
  }

  @Test func controlRegistersDecideWhoMayRun() {
    let legacy: [UInt8] = [0x66, 0x0F, 0xFE, 0xCA]
    let vex: [UInt8] = [0xC5, 0xE9, 0xFE, 0xCB]
    func outcomes() -> [UInt32?] { [run(legacy), run(vex)] }
    #expect(outcomes() == [nil, nil])
    guest.cpu.pointee.cr0 |= 8
    #expect(outcomes() == [7, 7])
    guest.cpu.pointee.cr0 |= 4
    #expect(outcomes() == [6, 7])
    guest.cpu.pointee.cr0 &= ~8
    #expect(outcomes() == [6, nil])
    guest.cpu.pointee.cr0 &= ~4
    guest.cpu.pointee.cr4 &= ~0x200
    #expect(outcomes() == [6, nil])
    guest.cpu.pointee.cr4 |= 0x200
    guest.cpu.pointee.cr4 &= ~0x40000
    #expect(outcomes() == [nil, 6])
    guest.cpu.pointee.cr4 |= 0x40000
    guest.cpu.pointee.xcr0 = 3
    #expect(outcomes() == [nil, 6])
  }

  @Test func unmaskedExceptionsKeepTheResultBack() {
    // divss xmm1, xmm2: 1 / 0 with division by zero unmasked.
    let divide: [UInt8] = [0xF3, 0x0F, 0x5E, 0xCA]
    set(1, SIMD4(0x3F80_0000, 2, 3, 4))
    set(2, SIMD4(0, 0, 0, 0))
    guest.cpu.pointee.mxcsr = 0x1F80 & ~0x200
    #expect(run(divide) == 19)
    #expect(vector(1) == SIMD4(0x3F80_0000, 2, 3, 4))
    #expect(guest.cpu.pointee.mxcsr == 0x1D84)
    guest.cpu.pointee.cr4 &= ~0x400
    #expect(run(divide) == 6)
    // The flag was set before, which raises nothing: only a new exception does.
    set(2, SIMD4(0x4000_0000, 0, 0, 0))
    #expect(run(divide) == nil)
    #expect(vector(1) == SIMD4(0x3F00_0000, 2, 3, 4))
    #expect(guest.cpu.pointee.mxcsr == 0x1D84)
    // Inexact is masked, so it only sets its flag.
    set(2, SIMD4(0x4040_0000, 0, 0, 0))
    #expect(run(divide) == nil)
    #expect(guest.cpu.pointee.mxcsr == 0x1DA4)
  }

  @Test func comparisonsRaiseToo() {
    // ucomiss xmm1, xmm2 of a signaling NaN, invalid unmasked: RFLAGS stay.
    set(1, SIMD4(0x7F80_0001, 0, 0, 0))
    guest.cpu.rflags = 0x2 | Flag.of | Flag.sf
    guest.cpu.pointee.mxcsr = 0x1F00
    #expect(run([0x0F, 0x2E, 0xCA]) == 19)
    #expect(guest.cpu.rflags & Flag.arithmetic == Flag.of | Flag.sf)
    #expect(guest.cpu.pointee.mxcsr == 0x1F01)
  }

  @Test func aHalfPrecisionStoreIsHeldBack() {
    // vcvtps2ph [rsi], xmm2, 4 of a signaling NaN, invalid unmasked.
    let bytes: [UInt8] = [0xC4, 0xE3, 0x79, 0x1D, 0x16, 4]
    guest.cpu.pointee.gpr.6 = UInt64(UInt(bitPattern: guest.page))
    guest.page.storeBytes(of: 7, as: UInt64.self)
    set(2, SIMD4(0x3F80_0000_7F80_0001, 0x3F80_0000_3F80_0000, 0, 0))
    guest.cpu.pointee.mxcsr = 0x1F00
    #expect(run(bytes) == 19)
    #expect(guest.page.load(as: UInt64.self) == 7)
    #expect(guest.cpu.pointee.mxcsr == 0x1F01)
    set(2, SIMD4(0x3F80_0000_3F80_0000, 0x3F80_0000_3F80_0000, 0, 0))
    #expect(run(bytes) == nil)
    #expect(guest.page.load(as: UInt64.self) == 0x3C00_3C00_3C00_3C00)
  }

  @Test func ldmxcsrRefusesReservedBits() {
    guest.cpu.pointee.gpr.6 = UInt64(UInt(bitPattern: guest.page))
    guest.page.storeBytes(of: 0x1_1F80, toByteOffset: 64, as: UInt32.self)
    #expect(run([0x0F, 0xAE, 0x56, 0x40]) == 13)
    guest.page.storeBytes(of: 0x7FA1, toByteOffset: 64, as: UInt32.self)
    #expect(run([0x0F, 0xAE, 0x56, 0x40]) == nil)
    #expect(guest.cpu.pointee.mxcsr == 0x7FA1)
  }

  @Test func maskedBytesGoToRDI() {
    guest.cpu.pointee.gpr.7 = UInt64(UInt(bitPattern: guest.page)) + 3
    set(1, SIMD4(0x8877_6655_4433_2211, 0xFFEE_DDCC_BBAA_9977, 0, 0))
    set(2, SIMD4(0x8000_0080_0000_FF00, 0x0000_0000_0000_0081, 0, 0))
    for bytes: [UInt8] in [[0x66, 0x0F, 0xF7, 0xCA], [0xC5, 0xF9, 0xF7, 0xCA]] {
      guest.page.initializeMemory(as: UInt8.self, repeating: 0, count: 32)
      #expect(run(bytes) == nil)
      let stored = (0..<20).map { guest.page.load(fromByteOffset: $0, as: UInt8.self) }
      #expect(stored == [0, 0, 0, 0, 0x22, 0, 0, 0x55, 0, 0, 0x88, 0x77, 0, 0, 0, 0, 0, 0, 0, 0])
    }
  }

  @Test func mmxRegistersMeetVectors() {
    guest.cpu.pointee.x87_top = 5
    guest.cpu.pointee.x87_control_status = 0x37F
    set(1, SIMD4(0xC020_0000_3FC0_0000, 0, 0, 0))
    // cvtps2pi mm3, xmm1: 1.5 and -2.5 to nearest even.
    #expect(run([0x0F, 0x2D, 0xD9]) == nil)
    #expect(guest.cpu.get(StateOffset.mmx(3), UInt64.self) == 0xFFFF_FFFE_0000_0002)
    #expect(guest.cpu.get(StateOffset.mmx(3) + 8, UInt16.self) == 0xFFFF)
    #expect(guest.cpu.pointee.x87_top == 0)
    #expect(guest.cpu.pointee.x87_tags == 0xFF)
    // cvtpi2pd xmm1, mm3, cvtpi2ps, movq2dq, movdq2q.
    #expect(run([0x66, 0x0F, 0x2A, 0xCB]) == nil)
    #expect(vector(1) == SIMD4(0x4000_0000_0000_0000, 0xC000_0000_0000_0000, 0, 0))
    #expect(run([0x0F, 0x2A, 0xCB]) == nil)
    #expect(vector(1) == SIMD4(0xC000_0000_4000_0000, 0xC000_0000_0000_0000, 0, 0))
    #expect(run([0xF3, 0x0F, 0xD6, 0xCB]) == nil)
    #expect(vector(1) == SIMD4(0xFFFF_FFFE_0000_0002, 0, 0, 0))
    set(1, SIMD4(7, 8, 9, 10))
    #expect(run([0xF2, 0x0F, 0xD6, 0xD9]) == nil)
    #expect(guest.cpu.get(StateOffset.mmx(3), UInt64.self) == 7)
  }

  @Test func reciprocalsAreWithinTheManualsBound() {
    var random = SeededRandom(seed: 3)
    for _ in 0..<2000 {
      let bits = UInt32(random.below(0x7F80_0000 - 0x0080_0000) + 0x0080_0000)
      let x = Double(Float(bitPattern: bits))
      let root = Double(Float(bitPattern: reciprocalSquareRoot(bits)))
      #expect(abs(root * x.squareRoot() - 1) <= 1.5 / 4096)
      let inverse = Double(Float(bitPattern: reciprocal(bits)))
      if 1 / x >= Double(Float.leastNormalMagnitude) { #expect(abs(inverse * x - 1) <= 1.5 / 4096) } else { #expect(inverse == 0) }
    }
    let cases: [(UInt32, UInt32, UInt32)] = [
      (0, 0x7F80_0000, 0x7F80_0000), (0x8000_0000, 0xFF80_0000, 0xFF80_0000), (0x7F80_0000, 0, 0), (0xFF80_0000, 0x8000_0000, 0xFFC0_0000),
      (0x7F80_0001, 0x7FC0_0001, 0x7FC0_0001), (1, 0x7F80_0000, 0x7F80_0000), (0x3F80_0000, 0x3F80_0000, 0x3F80_0000),
      (0x4000_0000, 0x3F00_0000, 0x3F35_0000), (0x4080_0000, 0x3E80_0000, 0x3F00_0000), (0xBF80_0000, 0xBF80_0000, 0xFFC0_0000),
    ]
    for (x, inverse, root) in cases {
      #expect(reciprocal(x) == inverse)
      #expect(reciprocalSquareRoot(x) == root)
    }
  }

  /// A gather that faults keeps what it has done in the destination and the mask.
  @Test func aGatherGoesOnWhereItFaulted() throws {
    // vpgatherdd xmm1, [rsi + xmm2 * 4 + 64], xmm3; syscall
    let machine = try TestMachine([0xC4, 0xE2, 0x61, 0x90, 0x4C, 0x96, 0x40, 0x0F, 5])
    let ymm = machine.cpu.address(UInt16(StateOffset.ymm))
    for i in 0..<4 { machine.memory.store(UInt32(100 + i), at: TestMachine.data + 64 + UInt64(i) * 4) }
    machine.cpu.pointee.gpr.6 = TestMachine.data
    ymm.storeBytes(of: SIMD8<UInt32>(9, 9, 9, 9, 9, 9, 9, 9), toByteOffset: 32, as: SIMD8<UInt32>.self)
    ymm.storeBytes(of: SIMD4<UInt32>(3, 1, 0x0800_0000, 2), toByteOffset: 64, as: SIMD4<UInt32>.self)
    ymm.storeBytes(of: SIMD4<UInt32>(1 << 31, 0, 1 << 31, 1 << 31), toByteOffset: 96, as: SIMD4<UInt32>.self)
    #expect(machine.vcpu.run(until: 100) == .exception(vector: 14, errorCode: 4))
    #expect(machine.cpu.pointee.cr2 == TestMachine.data + 64 + 0x2000_0000)
    #expect(ymm.load(fromByteOffset: 32, as: SIMD4<UInt32>.self) == SIMD4(103, 9, 9, 9))
    #expect(ymm.load(fromByteOffset: 96, as: SIMD4<UInt32>.self) == SIMD4(0, 0, .max, .max))
    ymm.storeBytes(of: 0, toByteOffset: 72, as: UInt32.self)
    #expect(machine.vcpu.run(until: 100) == .syscall)
    #expect(ymm.load(fromByteOffset: 32, as: SIMD8<UInt32>.self) == SIMD8(103, 9, 100, 102, 0, 0, 0, 0))
    #expect(ymm.load(fromByteOffset: 96, as: SIMD8<UInt32>.self) == SIMD8(repeating: 0))
  }
}
