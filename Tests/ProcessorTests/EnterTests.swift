import CHost
import GuestMemory
import Testing

@testable import Processor

/// ENTER in 16-bit code, as an Intel processor of the 2020s does it.
@Suite struct EnterTests {
  /// Recorded at CPL 3 in a 16-bit code segment with a stack segment of 64 KiB whose bytes are `filling` before it: B of the stack
  /// segment, whether the operand size is 32 bits, level, size, ESP and EBP before, whether it faults, ESP and EBP after, and FNV-1a of
  /// the stack after.
  private static let recorded = """
    0 1 5 7 0 12340031 0 ffe1 fffffffc 3a04de2d
    0 1 0 33 abcd0000 3fd2 0 abcdffdb abccfffc e4e307fe
    0 1 0 50 0 d1 0 ffca fffffffc ee9b2c44
    0 0 0 18 72d7 7392 0 72c3 72d5 b69d8a47
    0 0 1 38 abcdd427 d50d 0 abcdd3fd d425 68e5bdac
    0 0 4 11 4626 1578 0 4611 4624 a5945d18
    0 0 5 47145 ef39 1234efa0 0 3704 1234ef37 9b89fa84
    0 0 240 12919 abcd269f 12340002 0 abcdf406 1234269d e5da9ca
    0 0 59 12 d23b d2fd 0 d1f7 d239 6dbc204d
    0 0 148 55 23 d4d9 1 23 d4d9 b23eb2d
    0 0 5 44282 abcd000b 1234006b 1 abcd000b 1234006b a17f6a7b
    1 0 5 6424 ba7b bb22 0 a157 ba79 9a9f3c8d
    1 0 4 0 3c 48 0 32 3a 8dab8c87
    1 0 2 50 37 1234005a 1 37 1234005a 6beb4978
    0 1 0 0 abcd0009 1234000c 0 abcd0005 abcd0005 6e589e63
    0 1 1 5223 35 1234000f 0 ebc6 31 2bc89b59
    0 1 4 38937 1a9b cddc 0 826e 1a97 f31dc593
    0 1 2 27 e5fb 1234e627 0 e5d4 e5f7 b1ccede8
    0 1 226 0 1e 8e 0 12 1a ee510431
    0 1 156 9596 5355 adc3 0 2d65 5351 cd64325a
    0 1 4 22 abcd0006 b51c 1 abcd0006 b51c 416ee1ea
    0 1 5 32637 abcd0016 5f 1 abcd0016 5f ad9cea86
    1 1 2 34 7da2 7e94 0 7d74 7d9e ef4202b2
    1 1 5 1 933f 8aaf 0 9326 933b 31e35948
    1 1 251 9 14 69 1 14 69 f39cc070
    """

  private static func filling(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index * 7 + (index >> 8) * 13 + 5) }

  @Test func asRecorded() throws {
    let memory = try MachineMemory(frameCount: 64)
    let vcpu = VCPU(memory: memory)
    vcpu.ownPageTables(physicalBits: 40)
    let (code, stack): (UInt64, UInt64) = (0x1_0000, 0x2_0000)
    let filled = (0..<0x1_0000).map { Self.filling($0) }
    for line in Self.recorded.split(separator: "\n") {
      let field = line.split(separator: " ")
      try #require(field.count == 10)
      func hex(_ index: Int) -> UInt64 { UInt64(field[index], radix: 16) ?? 0 }
      memory.copyIn(filled, at: stack)
      vcpu.powerOn(signature: 0)
      let cpu = vcpu.cpu
      cpu.pointee.cr0 |= 1
      cpu.pointee.cpl = 3
      cpu.pointee.seg.1 = pv_segment(base: code, limit: 0xFFFF, selector: 7, attributes: 0xFB)
      cpu.pointee.seg.2 = pv_segment(base: stack, limit: 0xFFFF, selector: 15, attributes: field[0] == "1" ? 0x4F3 : 0xF3)
      // A fault cannot be delivered: the processor shuts down with all as it was.
      cpu.pointee.idt.limit = 0
      vcpu.deliversItself = true
      let size = UInt16(field[3]) ?? 0
      let prefix: [UInt8] = field[1] == "1" ? [0x66] : []
      memory.copyIn(prefix + [0xC8, UInt8(size & 0xFF), UInt8(size >> 8), UInt8(field[2]) ?? 0, 0x90], at: code)
      cpu.pointee.rip = code
      cpu.pointee.gpr.4 = hex(4)
      cpu.pointee.gpr.5 = hex(5)
      let exit = vcpu.run(until: vcpu.now + 1)
      #expect((exit == .tripleFault) == (field[6] == "1"), "\(line)")
      #expect(cpu.pointee.gpr.4 == hex(7), "\(line)")
      #expect(cpu.pointee.gpr.5 == hex(8), "\(line)")
      let bytes = try #require(memory.copyOut(stack, count: 0x1_0000))
      let hash = bytes.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
      #expect(UInt64(hash) == hex(9), "\(line)")
    }
  }
}
