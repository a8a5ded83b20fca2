import CHost
import Testing

@testable import Processor

/// The lazy flags against adders written bit by bit.
@Suite struct IntegerFlagTests {
  /// A ripple-carry adder: result and RFLAGS image.
  static func add(_ a: UInt8, _ b: UInt8, _ carryIn: Bool, invert: Bool = false) -> (UInt8, UInt64) {
    var carry = carryIn != invert
    var result: UInt8 = 0
    var nibble = false
    var beforeTop = false
    for bit in 0..<8 {
      let x = (a >> UInt8(bit)) & 1 != 0
      let y = ((b >> UInt8(bit)) & 1 != 0) != invert
      if bit == 7 { beforeTop = carry }
      if (x != y) != carry { result |= 1 << UInt8(bit) }
      carry = (x && y) || (carry && (x || y))
      if bit == 3 { nibble = carry }
    }
    var flags: UInt64 = 0
    if carry != invert { flags |= Flag.cf }
    if nibble != invert { flags |= Flag.af }
    if carry != beforeTop { flags |= Flag.of }
    if result == 0 { flags |= Flag.zf }
    if result >> 7 != 0 { flags |= Flag.sf }
    var ones = 0
    for bit in 0..<8 where (result >> UInt8(bit)) & 1 != 0 { ones += 1 }
    if ones % 2 == 0 { flags |= Flag.pf }
    return (result, flags)
  }

  static func withCPU(_ body: (CPU) -> Void) {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<pv_vcpu>.size, alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<pv_vcpu>.size)
    body(raw.bindMemory(to: pv_vcpu.self, capacity: 1))
    raw.deallocate()
  }

  @Test func additionAndSubtractionOfEveryPairOfBytes() {
    Self.withCPU { cpu in
      var wrong = 0
      for a in 0..<256 {
        for b in 0..<256 {
          let (x, y) = (UInt8(a), UInt8(b))
          let carry = (a ^ b) & 4 != 0
          let c: UInt8 = carry ? 1 : 0
          let sum = x &+ y &+ c
          cpu.setAddFlags(x, y, sum)
          if (sum, cpu.rflags & Flag.arithmetic) != Self.add(x, y, carry) { wrong += 1 }
          let difference = x &- y &- c
          cpu.setSubFlags(x, y, difference)
          if (difference, cpu.rflags & Flag.arithmetic) != Self.add(x, y, carry, invert: true) { wrong += 1 }
        }
      }
      #expect(wrong == 0)
    }
  }

  @Test func everyCombinationOfFlagsCanBeExpressed() {
    Self.withCPU { cpu in
      for bits in 0..<64 as Range<UInt64> {
        var image: UInt64 = 0
        for (n, flag) in [Flag.cf, Flag.pf, Flag.af, Flag.zf, Flag.sf, Flag.of].enumerated() where (bits >> UInt64(n)) & 1 != 0 {
          image |= flag
        }
        cpu.setArithmeticFlags(image)
        #expect(cpu.rflags & Flag.arithmetic == image)
        for on in [false, true] {
          cpu.setArithmeticFlags(image)
          cpu.setCF(on)
          #expect(cpu.rflags & Flag.arithmetic == image & ~Flag.cf | (on ? Flag.cf : 0))
          cpu.setCFOF(on, !on)
          #expect(cpu.rflags & Flag.arithmetic == image & ~(Flag.cf | Flag.of) | (on ? Flag.cf : Flag.of))
        }
        cpu.setArithmeticFlags(image)
        #expect(cpu.isLess == ((image & Flag.sf != 0) != (image & Flag.of != 0)))
        for code in 0..<16 as Range<UInt8> { #expect(cpu.holds(code) == Self.condition(code, image), "condition \(code)") }
      }
    }
  }

  /// SDM volume 1, appendix B.
  static func condition(_ code: UInt8, _ f: UInt64) -> Bool {
    let less = (f & Flag.sf != 0) != (f & Flag.of != 0)
    let holds: Bool
    switch code >> 1 {
    case 0: holds = f & Flag.of != 0
    case 1: holds = f & Flag.cf != 0
    case 2: holds = f & Flag.zf != 0
    case 3: holds = f & (Flag.cf | Flag.zf) != 0
    case 4: holds = f & Flag.sf != 0
    case 5: holds = f & Flag.pf != 0
    case 6: holds = less
    default: holds = less || f & Flag.zf != 0
    }
    return holds != (code & 1 != 0)
  }
}
