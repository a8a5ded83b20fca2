import CHost
import Random
import X86

@testable import Processor

/// One instruction at a time on the interpreter's handlers, with no machine around: one page of memory, whose linear address
/// is its host address, is in the TLB.
final class VectorGuest {
  let cpu: CPU
  let page: UnsafeMutableRawPointer
  private let tlb: UnsafeMutableRawPointer
  private let operations: UnsafeMutablePointer<pv_op>

  init() {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<pv_vcpu>.size, alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<pv_vcpu>.size)
    cpu = raw.bindMemory(to: pv_vcpu.self, capacity: 1)
    tlb = UnsafeMutableRawPointer.allocate(byteCount: Int(PV_TLB_BYTES), alignment: 64)
    tlb.initializeMemory(as: UInt64.self, repeating: 1, count: Int(PV_TLB_BYTES) / 8)
    cpu.pointee.tlb = tlb
    cpu.pointee.cr0 = 0x8000_0033
    cpu.pointee.cr4 = 0x40620
    cpu.pointee.xcr0 = 7
    cpu.pointee.mxcsr = 0x1F80
    cpu.pointee.rflags = 2
    page = .allocate(byteCount: 4096, alignment: 4096)
    page.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
    let linear = UInt64(UInt(bitPattern: page))
    let index = Int(pv_tlb_slot(linear))
    for way in TranslationSets.Way.all {
      way.tags(tlb)[index] = linear
      way.addends(tlb)[index] = 0
    }
    operations = .allocate(capacity: 2)
    operations[0] = pv_op.blank
    operations[1] = pv_op.blank
    operations[1].handler = { _, op in op }
  }

  deinit {
    UnsafeMutableRawPointer(cpu).deallocate()
    tlb.deallocate()
    page.deallocate()
    operations.deallocate()
  }

  /// Decodes and lowers; false where the decoder or the lowering refuses.
  func prepare(_ bytes: [UInt8], _ table: LoweringTable = .shared) -> Bool {
    guard let instruction = bytes.withUnsafeBytes({ try? Decoder.decode($0, mode: .long64) }) else { return false }
    guard Int(instruction.length) == bytes.count else { return false }
    operations[0] = pv_op.blank
    Processor.prepare(instruction, offset: 0, mode: .long64, &operations[0])
    guard let lowerer = table[instruction.mnemonic] else { return false }
    return lowerer(instruction, &operations[0])
  }

  /// Executes the prepared operation. Nil where it went on, else the vector it raised.
  func run() -> UInt32? {
    vectorStateEnter(cpu)
    defer { vectorStateLeave(cpu) }
    return operations[0].handler(cpu, operations) == nil ? cpu.pointee.vector : nil
  }

  var ymm: UnsafeMutableRawPointer { cpu.address(UInt16(StateOffset.ymm)) }
}

extension SeededRandom {
  static let singles: [UInt32] = [
    0, 0x8000_0000, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFFC0_1234, 0x7F80_0001, 0xFFA0_5678, 1,
    0x8000_0001, 0x007F_FFFF, 0x0080_0000, 0x7F7F_FFFF, 0xFF7F_FFFF, 0x3FC0_0000, 0x4020_0000, 0x4F00_0000, 0xCF00_0000, 0x5F00_0000,
    0x3F00_0000, 0x4B80_0001, 0x3380_0000, 0x4EFF_FFFF,
  ]
  static let doubles: [UInt64] = [
    0, 1 << 63, 0x3FF0_0000_0000_0000, 0xBFF0_0000_0000_0000, 0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000, 0x7FF8_0000_0000_0000,
    0xFFF8_0000_0000_1234, 0x7FF0_0000_0000_0001, 0xFFF4_0000_0000_5678, 1, 0x8000_0000_0000_0001, 0x000F_FFFF_FFFF_FFFF,
    0x0010_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0xFFEF_FFFF_FFFF_FFFF, 0x3FF8_0000_0000_0000, 0x41DF_FFFF_FFE0_0000,
    0xC1E0_0000_0000_0000, 0x43E0_0000_0000_0000, 0x3FE0_0000_0000_0000, 0x47EF_FFFF_F000_0000, 0x3810_0000_0000_0001,
    0x36A0_0000_0000_0000, 0x4330_0000_0000_0001,
  ]

  /// 64 bits for one of several kinds of operands.
  mutating func element(_ kind: UInt64) -> UInt64 {
    switch kind {
    case 0: return next()
    case 1:
      // Bytes from a small set: equal and extreme elements are likely.
      let set: [UInt64] = [0, 0xFF, 0x80, 0x7F, 1, 0x41, 0x42]
      var value: UInt64 = 0
      for i in 0..<8 { value |= set[Int(below(7))] << UInt64(i * 8) }
      return value
    case 2:
      let low = SeededRandom.singles[Int(below(UInt64(SeededRandom.singles.count)))]
      let high = SeededRandom.singles[Int(below(UInt64(SeededRandom.singles.count)))]
      return UInt64(high) << 32 | UInt64(low)
    case 3: return SeededRandom.doubles[Int(below(UInt64(SeededRandom.doubles.count)))]
    case 4:
      // Singles near one another.
      let low = (0x3F00_0000 + below(0x0200_0000)) | below(2) << 31
      let high = (0x3F00_0000 + below(0x0200_0000)) | below(2) << 31
      return high << 32 | low
    case 5: return (0x3FD0_0000_0000_0000 + below(0x0060_0000_0000_0000)) | below(2) << 63
    case 6:
      // Tiny and huge: underflow and overflow.
      return below(2) == 0 ? below(1 << 57) : 0x7FD0_0000_0000_0000 + below(0x0020_0000_0000_0000)
    default:
      // Small integers: counts, lengths.
      return below(40)
    }
  }
}
