#if arch(x86_64)
  import CHost
  import Random
  import Testing
  import X86

  @testable import Processor

  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Darwin)
    import Darwin
  #endif

  /// The MMX instructions against the host's own.
  @Suite struct MMXOracleTests {
    /// Runs `instruction` on MM0 and MM1 (and EAX, [RSI]): returns them afterwards.
    final class RealUnit {
      typealias Entry = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> UInt64
      private let page: HostCode

      init?() {
        guard let page = HostCode() else { return nil }
        self.page = page
      }

      /// `registers`: MM0, MM1, RAX; RAX is preset too.
      func run(_ instruction: [UInt8], _ registers: inout [UInt64], _ memory: inout [UInt64]) {
        // movq mm0,[rdi]; movq mm1,[rdi+8]; mov rax,[rdi+16]; …; movq [rdi],mm0; movq [rdi+8],mm1; emms; ret
        let code: [UInt8] =
          [0x0F, 0x6F, 0x07, 0x0F, 0x6F, 0x4F, 0x08, 0x48, 0x8B, 0x47, 0x10] + instruction + [
            0x0F, 0x7F, 0x07, 0x0F, 0x7F, 0x4F, 0x08, 0x0F, 0x77, 0xC3,
          ]
        let entry = page.function(code, as: Entry.self)
        registers[2] = registers.withUnsafeMutableBytes { r in
          memory.withUnsafeMutableBytes { m in entry(r.baseAddress!, m.baseAddress!) }
        }
      }
    }

    /// Encodings of every MMX form: 0F opcodes with mm0,mm1 and mm0,[rsi]; the shifts by immediates; SSSE3; word moves.
    func forms(_ random: inout SeededRandom) -> [[UInt8]] {
      var list: [[UInt8]] = []
      let immediate = { (r: inout SeededRandom) in UInt8(truncatingIfNeeded: r.next() % 3 == 0 ? r.next() : r.next() % 20) }
      for opcode in Array(UInt8(0x60)...0x6D) + [0x6F, 0x74, 0x75, 0x76, 0x7E, 0x7F] + Array(UInt8(0xD1)...0xFE) {
        for modrm: UInt8 in [0xC1, 0x06] { list.append([0x0F, opcode, modrm]) }
      }
      for opcode: UInt8 in [0x6E, 0x7E] {
        for modrm: UInt8 in [0xC0, 0x06] { list += [[0x0F, opcode, modrm], [0x48, 0x0F, opcode, modrm]] }
      }
      for (opcode, modrm) in [
        (0x71, 0xD0), (0x71, 0xE0), (0x71, 0xF0), (0x72, 0xD0), (0x72, 0xE0), (0x72, 0xF0), (0x73, 0xD0), (0x73, 0xF0),
      ] {
        list.append([0x0F, UInt8(opcode), UInt8(modrm), immediate(&random)])
      }
      for opcode: UInt8 in [0x70, 0xC4] {
        for modrm: UInt8 in [0xC1, 0x06] {
          list.append([0x0F, opcode, opcode == 0xC4 && modrm == 0xC1 ? 0xC0 : modrm, immediate(&random)])
        }
      }
      list.append([0x0F, 0xC5, 0xC1, immediate(&random)])
      for opcode in Array(UInt8(0x00)...0x0B) + [0x1C, 0x1D, 0x1E] {
        for modrm: UInt8 in [0xC1, 0x06] { list.append([0x0F, 0x38, opcode, modrm]) }
      }
      for modrm: UInt8 in [0xC1, 0x06] { list.append([0x0F, 0x3A, 0x0F, modrm, immediate(&random)]) }
      return list
    }

    func word(_ random: inout SeededRandom) -> UInt64 {
      let corners: [UInt64] = [0, ~0, 0x8000_8000_8000_8000, 0x7FFF_7FFF_7FFF_7FFF, 0x8080_8080_8080_8080, 0x8000_0000_8000_0000]
      switch random.next() % 4 {
      case 0: return corners[Int(random.next() % 6)]
      case 1: return random.next() % 70
      default: return random.next()
      }
    }

    @Test func matchesTheHost() throws {
      let unit = try #require(RealUnit())
      let bench = try SystemBench()
      var random = SeededRandom(seed: 88_172_645_463_325_252)
      var seen = Set<String>()
      var problems: [String] = []
      for round in 0..<30 {
        for instruction in forms(&random) {
          let decoded = try? (instruction + [0, 0, 0, 0]).withUnsafeBytes({ raw throws(DecodeError) in
            try Decoder.decode(raw, mode: .long64)
          })
          guard let decoded, decoded.mnemonic.name != "maskmovq", decoded.mnemonic.name != "ud0" else { continue }
          let before = [word(&random), word(&random), word(&random)]
          let memoryBefore = [word(&random), word(&random)]
          var expected = before
          var expectedMemory = memoryBefore
          unit.run(instruction, &expected, &expectedMemory)
          let cpu = bench.cpu
          cpu.pointee.x87_top = 5
          cpu.pointee.x87_tags = 0
          cpu.address(StateOffset.mmx(0)).storeBytes(of: before[0], as: UInt64.self)
          cpu.address(StateOffset.mmx(1)).storeBytes(of: before[1], as: UInt64.self)
          cpu.pointee.gpr.0 = before[2]
          cpu.pointee.gpr.6 = SystemBench.data
          bench.memory.store(memoryBefore[0], at: SystemBench.data)
          bench.memory.store(memoryBefore[1], at: SystemBench.data + 8)
          let exit = bench.run(instruction)
          let mine = [cpu.get(StateOffset.mmx(0), UInt64.self), cpu.get(StateOffset.mmx(1), UInt64.self), cpu.pointee.gpr.0]
          let memory = [bench.memory.load(SystemBench.data, as: UInt64.self)!, bench.memory.load(SystemBench.data + 8, as: UInt64.self)!]
          let state = cpu.pointee.x87_top == 0 && cpu.pointee.x87_tags == 0xFF
          seen.insert(decoded.mnemonic.name)
          if exit != .deadline || mine != expected || memory != expectedMemory || !state {
            if problems.count < 20 {
              problems.append("round \(round): \(decoded.mnemonic.name) \(instruction) \(exit) \(before) \(expected) \(mine)")
            }
          }
        }
      }
      #expect(seen.count > 75)
      #expect(problems == [])
    }

    @Test func maskedStoreAndEmptying() throws {
      let bench = try SystemBench()
      let cpu = bench.cpu
      cpu.address(StateOffset.mmx(0)).storeBytes(of: 0x1122_3344_5566_7788, as: UInt64.self)
      cpu.address(StateOffset.mmx(1)).storeBytes(of: 0x80_0000_0000_00FF, as: UInt64.self)
      cpu.pointee.gpr.7 = SystemBench.data
      bench.memory.store(~UInt64(0), at: SystemBench.data)
      #expect(bench.run([0x0F, 0xF7, 0xC1]) == .deadline)
      #expect(bench.memory.load(SystemBench.data, as: UInt64.self) == 0xFF22_FFFF_FFFF_FF88)
      #expect(cpu.pointee.x87_tags == 0xFF)
      #expect(bench.run([0x0F, 0x77]) == .deadline)
      #expect(cpu.pointee.x87_tags == 0)
    }
  }
#endif
