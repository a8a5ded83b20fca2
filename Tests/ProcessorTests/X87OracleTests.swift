#if arch(x86_64)
  import CHost
  import GuestMemory
  import Random
  import Testing
  import X86

  @testable import Processor

  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Darwin)
    import Darwin
  #endif

  /// Runs one x87 instruction on the real unit: FRSTOR, the instruction with [RSI] as its memory operand, FNSAVE.
  final class RealUnit {
    typealias Entry = @convention(c) (UnsafeRawPointer, UnsafeMutableRawPointer, UnsafeMutableRawPointer, UInt64) -> UInt64
    private let page: HostCode

    init?() {
      guard let page = HostCode() else { return nil }
      self.page = page
    }

    func run(_ instruction: [UInt8], state: inout [UInt8], memory: inout [UInt8], flags: inout UInt64, ax: inout UInt16) {
      // push rcx; popfq; frstor [rdi]; …; fnsave [rdx]; pushfq; pop rcx; movzx eax,ax; shl rcx,32; or rax,rcx; ret
      let code: [UInt8] =
        [0x51, 0x9D, 0x31, 0xC0, 0x51, 0x9D, 0xDD, 0x27] + instruction
        + [0xDD, 0x32, 0x9C, 0x59, 0x0F, 0xB7, 0xC0, 0x48, 0xC1, 0xE1, 0x20, 0x48, 0x09, 0xC8, 0xC3]
      let entry = page.function(code, as: Entry.self)
      let before = state
      let result = before.withUnsafeBytes { from in
        memory.withUnsafeMutableBytes { operand in
          state.withUnsafeMutableBytes { to in entry(from.baseAddress!, operand.baseAddress!, to.baseAddress!, flags) }
        }
      }
      flags = result >> 32
      ax = UInt16(truncatingIfNeeded: result)
    }
  }

  /// The x87 instructions against the host's own unit, state and all.
  @Suite struct X87OracleTests {
    static let arithmeticFlags = Flag.arithmetic

    /// Values where the unit changes its mind, and random ones.
    func value(_ random: inout SeededRandom) -> [UInt8] {
      let low: UInt64
      var high: UInt16
      switch random.next() % 22 {
      case 0: (low, high) = (0, 0)
      case 1: (low, high) = (1 << 63, 16383)
      case 2: (low, high) = (0xC000_0000_0000_0000, 16384)
      case 3: (low, high) = (1 << 63, 0x7FFF)  // infinity
      case 4: (low, high) = (0xC000_0000_0000_0001, 0x7FFF)  // quiet NaN
      case 5: (low, high) = (0x8000_0000_0000_1234, 0x7FFF)  // signalling NaN
      case 6: (low, high) = (random.next() >> 1, 0)  // denormal
      case 7: (low, high) = (random.next() | 1 << 63, 0)  // pseudo-denormal
      case 8: (low, high) = (random.next() >> 1, 16383)  // unnormal
      case 9: (low, high) = (random.next() >> 1, 0x7FFF)  // pseudo-NaN
      case 10: (low, high) = (~0, 0x7FFE)
      case 11: (low, high) = (1 << 63, 1)
      case 12: (low, high) = (0xC90F_DAA2_2168_C235, 16384)  // pi
      case 13: (low, high) = (random.next() | 1 << 63, 16383 + 63)
      case 14: (low, high) = (random.next() & ~0xFF_FFFF_FFFF | 1 << 63, 16383 + 10)
      case 15: (low, high) = (random.next() | 1 << 63, UInt16(truncatingIfNeeded: random.next() % 0x7FFF))
      default: (low, high) = (random.next() | 1 << 63, UInt16(16383 - 20 + random.next() % 40))
      }
      if random.next() & 1 != 0 { high |= 0x8000 }
      return withUnsafeBytes(of: low, Array.init) + withUnsafeBytes(of: high, Array.init)
    }

    func state(_ random: inout SeededRandom) -> [UInt8] {
      let rounding = UInt16(truncatingIfNeeded: random.next() % 4) << 10
      let precision: UInt16 = [0, 0x200, 0x300, 0x300][Int(random.next() % 4)]
      let masks: UInt16 = random.next() % 3 != 0 ? 0x3F : UInt16(truncatingIfNeeded: random.next() % 64)
      let control = 0x40 | rounding | precision | masks
      // Nothing pending.
      let status = UInt16(truncatingIfNeeded: random.next()) & (0x7F40 | masks)
      var tags = UInt16(truncatingIfNeeded: 0)
      for n in 0..<8 where random.next() % 5 == 0 { tags |= 3 << UInt16(n * 2) }
      if random.next() & 1 != 0 { tags |= 3 << UInt16(((status >> 11 &+ 7) & 7) * 2) }
      var image = [UInt8](repeating: 0, count: 28)
      for (n, word) in [control, status, tags].enumerated() {
        image[n * 4] = UInt8(truncatingIfNeeded: word)
        image[n * 4 + 1] = UInt8(truncatingIfNeeded: word >> 8)
      }
      for _ in 0..<8 { image += value(&random) }
      return image
    }

    func operand(_ random: inout SeededRandom, _ opcode: UInt8) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 128)
      for n in 0..<128 { bytes[n] = UInt8(truncatingIfNeeded: random.next()) }
      let single: [UInt32] = [0, 0x3F80_0000, 0x7F80_0000, 0x7FC0_0001, 0x7F80_0001, 1, 0x0080_0000, 0xFF7F_FFFF, 0x8000_0000]
      let double: [UInt64] = [0, 0x3FF0 << 48, 0x7FF0 << 48, 0x7FF8 << 48 | 1, 0x7FF0 << 48 | 1, 1, 1 << 52, 0xFFEF << 48, 1 << 63]
      func put(_ new: [UInt8]) { bytes.replaceSubrange(0..<new.count, with: new) }
      switch random.next() % 6 {
      case 0: put(withUnsafeBytes(of: single[Int(random.next() % 9)], Array.init))
      case 1: put(withUnsafeBytes(of: double[Int(random.next() % 9)], Array.init))
      case 2: put(value(&random))
      case 3: put(withUnsafeBytes(of: Float(Int16(truncatingIfNeeded: random.next())).bitPattern, Array.init))
      case 4: put(withUnsafeBytes(of: Double(Int32(truncatingIfNeeded: random.next())).bitPattern, Array.init))
      default: break
      }
      return bytes
    }

    func operandSize(_ bytes: [UInt8]) -> (mnemonic: String, size: Int)? {
      guard let i = try? bytes.withUnsafeBytes({ raw throws(DecodeError) in try Decoder.decode(raw, mode: .long64) }) else { return nil }
      return (i.mnemonic.name, i.operands.0.kind == .memory ? Int(i.operands.0.size) : 0)
    }

    @Test(arguments: 0..<8) func matchesTheHost(_ escape: Int) throws {
      let unit = try #require(RealUnit())
      let bench = try SystemBench()
      var random = SeededRandom(seed: 0x9E37_79B9_7F4A_7C15 &+ UInt64(escape))
      let opcode = UInt8(0xD8 + escape)
      var seen = 0
      var problems: [String: (Int, String)] = [:]
      for modrm in (0..<8).map({ UInt8($0 << 3 | 6) }) + (0xC0...0xFF).map({ UInt8($0) }) {
        // The aliases of FSTP ST(i) at D9 /3 ignore an empty stack on Intel's processors; ours do not.
        if opcode == 0xD9 && modrm >= 0xD8 && modrm <= 0xDF { continue }
        let instruction = [opcode, modrm]
        guard let (name, size) = operandSize(instruction + [0, 0, 0, 0]) else { continue }
        let rounds = modrm >= 0xC0 ? 50 : 200
        for _ in 0..<rounds {
          let before = state(&random)
          let memory = operand(&random, opcode)
          let flags = random.next() & Self.arithmeticFlags | 2
          var expected = (state: before, memory: memory, flags: flags, ax: UInt16(0))
          unit.run(instruction, state: &expected.state, memory: &expected.memory, flags: &expected.flags, ax: &expected.ax)

          // frstor [rdi]; instruction; fnsave [rdx]
          let cpu = bench.cpu
          cpu.pointee.gpr.0 = 0
          cpu.pointee.gpr.2 = SystemBench.data + 0x100
          cpu.pointee.gpr.6 = SystemBench.data + 0x200
          cpu.pointee.gpr.7 = SystemBench.data
          cpu.rflags = flags
          cpu.pointee.x87_control_status = 0x37F
          bench.memory.copyIn(before, at: SystemBench.data)
          bench.memory.copyIn(memory, at: SystemBench.data + 0x200)
          let exit = bench.run([0xDD, 0x27] + instruction + [0xDD, 0x32], count: 3)
          var mine = bench.memory.copyOut(SystemBench.data + 0x100, count: 108)!
          var myMemory = bench.memory.copyOut(SystemBench.data + 0x200, count: 128)!
          // Pointers are not kept.
          for n in 12..<28 {
            mine[n] = 0
            expected.state[n] = 0
            if size > 10 {
              myMemory[n] = 0
              expected.memory[n] = 0
            }
          }
          seen += 1
          let same =
            exit == .deadline && mine == expected.state && myMemory == expected.memory
            && cpu.rflags & Self.arithmeticFlags == expected.flags & Self.arithmeticFlags
            && UInt16(truncatingIfNeeded: cpu.pointee.gpr.0) == expected.ax
          if !same {
            let key = "\(name) \(String(opcode, radix: 16)) \(String(modrm, radix: 16))"
            let text = describe(before, memory, expected.state, mine) + " \(exit) mem \(expected.memory == myMemory)"
            problems[key] = ((problems[key]?.0 ?? 0) + 1, problems[key]?.1 ?? text)
          }
        }
      }
      #expect(seen > 700)
      for key in problems.keys.sorted() { Issue.record("\(key): \(problems[key]!.0) times, \(problems[key]!.1)") }
    }

    func describe(_ before: [UInt8], _ memory: [UInt8], _ expected: [UInt8], _ mine: [UInt8]) -> String {
      func hex(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.reversed().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      }
      func words(_ s: [UInt8]) -> String {
        let registers = (0..<8).map { hex(s[28 + $0 * 10..<38 + $0 * 10]) }
        return "cw \(hex(s[0..<2])) sw \(hex(s[4..<6])) tags \(hex(s[8..<10])) st \(registers[0]) \(registers[1]) … \(registers[7])"
      }
      return "\nfrom \(words(before)) memory \(hex(memory[0..<10]))\nhost \(words(expected))\nours \(words(mine))"
    }
  }
#endif
