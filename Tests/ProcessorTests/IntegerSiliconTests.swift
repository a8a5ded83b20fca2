#if arch(x86_64) && canImport(Glibc)
  import CHost
  import Foundation
  import Glibc
  import GuestMemory
  import Random
  import Testing
  import X86

  @testable import Processor

  extension SeededRandom {
    /// An operand: often one with few or all bits set, or a short one.
    mutating func value() -> UInt64 {
      let r = next()
      switch below(12) {
      case 0: return 0
      case 1: return 1
      case 2: return ~0
      case 3: return 1 << (r & 63)
      case 4: return 0x8000_0000_8000_8080
      case 5: return 0x7FFF_FFFF_7FFF_7F7F
      case 6: return r & 0xFF
      case 7: return r & 0xFFFF
      case 8: return r & 0xFFFF_FFFF
      default: return r
      }
    }
  }

  /// Runs general-purpose instructions on the host's own processor and compares registers, flags and memory.
  @Suite(.serialized) struct IntegerSiliconTests {
    /// Bytes that both sides see at this address.
    static let window: UInt64 = 0x20_0000
    static let windowBytes = 8192
    static let names = Set(
      """
      add adc sub sbb and or xor cmp test inc dec neg not mov movzx movsx movsxd movbe lea xchg mul imul div idiv shl shr sar rol ror
      rcl rcr shld shrd rorx sarx shlx shrx andn bextr blsi blsmsk blsr bzhi pdep pext mulx adcx adox bt bts btr btc bsf bsr lzcnt
      tzcnt popcnt crc32 bswap cbw cwde cdqe cwd cdq cqo xadd cmpxchg cmpxchg8b cmpxchg16b push pop leave enter lahf sahf clc stc cmc
      xlatb movnti movsb movsw movsd movsq stosb stosw stosd stosq lodsb lodsw lodsd lodsq cmpsb cmpsw cmpsd cmpsq scasb scasw scasd
      scasq seto setno setb setae setz setnz setbe seta sets setns setp setnp setl setge setle setg cmovo cmovno cmovb cmovae cmovz
      cmovnz cmovbe cmova cmovs cmovns cmovp cmovnp cmovl cmovge cmovle cmovg nop
      """.split(whereSeparator: \.isWhitespace).map(String.init))

    /// Undefined results are those of recent Intel processors, so the comparison is with those.
    static let hostHasAll: Bool = {
      guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else { return false }
      guard text.contains("GenuineIntel"), let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }) else {
        return false
      }
      let flags = Set(line.split(whereSeparator: \.isWhitespace).map(String.init))
      return flags.isSuperset(of: ["adx", "bmi1", "bmi2", "abm", "popcnt", "movbe", "sse4_2", "cx16", "sse2"])
    }()

    static func hex(_ bytes: [UInt8]) -> String { bytes.map { String($0, radix: 16) }.joined(separator: " ") }
    static func setRegister(_ cpu: CPU, _ r: Int, _ value: UInt64) {
      UnsafeMutableRawPointer(cpu).storeBytes(of: value, toByteOffset: r * 8, as: UInt64.self)
    }

    /// 16 registers, flags, the host's stack pointer.
    typealias State = UnsafeMutablePointer<UInt64>

    static func stub(_ instruction: [UInt8]) -> [UInt8] {
      var code: [UInt8] = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]  // push rbx rbp r12…r15
      code += [0x49, 0x89, 0xFF]  // mov r15, rdi
      code += [0x41, 0xFF, 0xB7, 128, 0, 0, 0, 0x9D]  // push [r15+128]; popfq
      code += [0x49, 0x89, 0xA7, 136, 0, 0, 0]  // mov [r15+136], rsp
      for r in 0..<15 { code += [r >= 8 ? 0x4D : 0x49, 0x8B, 0x87 | UInt8(r & 7) << 3, UInt8(r * 8), 0, 0, 0] }
      code += instruction
      for r in 0..<15 { code += [r >= 8 ? 0x4D : 0x49, 0x89, 0x87 | UInt8(r & 7) << 3, UInt8(r * 8), 0, 0, 0] }
      code += [0x49, 0x8B, 0xA7, 136, 0, 0, 0]  // mov rsp, [r15+136]
      code += [0x9C, 0x41, 0x8F, 0x87, 128, 0, 0, 0]  // pushfq; pop [r15+128]
      code += [0xFC, 0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3]
      return code
    }

    static func candidate(_ g: inout SeededRandom) -> [UInt8] {
      var bytes: [UInt8] = []
      func random() -> UInt8 { UInt8.random(in: 0...255, using: &g) }
      if g.next() % 5 == 0 {  // VEX
        bytes = [0xC4, random() & 0xE0 | (g.next() % 2 == 0 ? 2 : 3), random(), [0xF2, 0xF3, 0xF5, 0xF6, 0xF7, 0xF0][Int(g.next() % 6)]]
      } else {
        if g.next() % 4 == 0 { bytes.append(0x66) }
        if g.next() % 12 == 0 { bytes.append(0x67) }
        if g.next() % 4 == 0 { bytes.append(g.next() % 2 == 0 ? 0xF2 : 0xF3) }
        if g.next() % 2 == 0 { bytes.append(0x40 | random() & 15) }
        switch g.next() % 8 {
        case 0, 1, 2: bytes += [0x0F, random()]
        case 3: bytes += [0x0F, 0x38, [0xF0, 0xF1, 0xF6, 0xF7][Int(g.next() % 4)]]
        default: bytes.append(random())
        }
      }
      for _ in 0..<10 { bytes.append(random()) }
      return bytes
    }

    @Test func likeSilicon() throws {
      guard Self.hostHasAll else { return }
      // A longer run: PARAVANE_SILICON_COUNT=1000000 PARAVANE_SILICON_SEED=7.
      let environment = ProcessInfo.processInfo.environment
      let count = environment["PARAVANE_SILICON_COUNT"].flatMap { Int($0) } ?? 8_000
      let seed = environment["PARAVANE_SILICON_SEED"].flatMap { UInt64($0) } ?? 88_172_645_463_325_252
      var g = SeededRandom(seed: seed)
      let raw = mmap(
        UnsafeMutableRawPointer(bitPattern: UInt(Self.window)), Self.windowBytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
      guard let raw, raw != MAP_FAILED, UInt(bitPattern: raw) == UInt(Self.window) else { return }
      defer { munmap(raw, Self.windowBytes) }
      let code = try #require(HostCode())
      let memory = try MachineMemory(frameCount: 1024)
      let vcpu = VCPU(memory: memory)
      let cpu = vcpu.cpu
      let state = State.allocate(capacity: 20)
      defer { state.deallocate() }
      var tried: [String: Int] = [:]
      var failures: [String: Int] = [:]
      var done = 0
      while done < count {
        let bytes = Self.candidate(&g)
        guard let i = try? bytes.withUnsafeBytes({ try Decoder.decode($0, mode: .long64) }) else { continue }
        let name = i.mnemonic.name
        guard Self.names.contains(name), i.prefixes.rawValue & Instruction.Prefixes.segment.rawValue == 0 else { continue }
        let operands = [i.operands.0, i.operands.1, i.operands.2, i.operands.3]
        // Neither the stub's own register nor the stack pointer as an operand.
        if operands.contains(where: { $0.kind == .general && ($0.register == 15 || $0.register == 4) }) { continue }
        if operands.contains(where: { [.segment, .control, .debug, .vector, .mmx].contains($0.kind) }) { continue }
        if i.base == 15 || i.index == 15 || i.base == 4 || i.base == -2 { continue }
        let hasMemory = operands.contains { $0.kind == .memory }
        if i.prefixes.contains(.lock) { continue }
        var instruction = Array(bytes[0..<Int(i.length)])
        let middle = Self.window + 2048
        for r in 0..<15 { state[r] = g.value() }
        state[4] = middle + 1024 + g.next() % 16
        if hasMemory && name != "lea" && name != "nop" {
          guard i.base >= 0, i.base != i.index else { continue }
          // The displacement is cancelled by the base.
          let index: UInt64 = i.index >= 0 ? g.next() % 8 : 0
          if i.index >= 0 { state[Int(i.index)] = index }
          state[Int(i.base)] =
            middle &- UInt64(bitPattern: i.displacement) &- index << UInt64(i.scale) &+ g.next() % 32 & (name == "cmpxchg16b" ? ~15 : ~0)
          if i.addressSize == 4 { state[Int(i.base)] &= 0xFFFF_FFFF }
          if ["bt", "bts", "btr", "btc"].contains(name), i.operands.1.kind == .general {
            let r = Int(i.operands.1.register)
            if r == Int(i.base) || r == Int(i.index) { continue }
            let offset = Int64(bitPattern: g.next()) % 8000
            let mask: UInt64 = i.operandSize == 8 ? ~0 : i.operandSize == 4 ? 0xFFFF_FFFF : 0xFFFF
            state[r] = state[r] & ~mask | UInt64(bitPattern: offset) & mask
          }
        }
        if name == "leave" { state[5] = middle + g.next() % 64 }
        if name == "enter" {
          state[5] = middle + 512
          instruction[Int(i.length) - 1] &= 3
          instruction[Int(i.length) - 2] = 0
        }
        if name == "xlatb" { state[3] = middle }
        if i.operandCount == 0 && "movs stos lods cmps scas".split(separator: " ").contains(where: { name.hasPrefix($0) }) {
          state[6] = middle + g.next() % 40
          state[7] = middle + g.next() % 40
          state[1] = g.next() % 12
          if g.next() % 2 == 0 { state[0] = state[0] & 0x0101_0101_0101_0101 }
        }
        if name == "div" || name == "idiv" {
          if g.next() % 4 != 0 && i.base != 2 && i.index != 2 {
            state[2] = name == "idiv" ? UInt64(bitPattern: Int64(bitPattern: state[0]) >> 63) : 0
          }
        }
        let arithmetic: UInt64 = 0x8D5
        state[16] =
          g.next() & arithmetic | 0x202 | (g.next() % 4 == 0 ? 0x400 : 0)
        // Memory.
        let bytesOfWindow = raw.assumingMemoryBound(to: UInt64.self)
        for n in 0..<Self.windowBytes / 8 {
          let v = g.next()
          bytesOfWindow[n] = n % 3 == 0 ? v : n % 3 == 1 ? v & 0x0101_0101_0101_0101 : 0
        }
        memory.copyIn(UnsafeRawBufferPointer(start: raw, count: Self.windowBytes), at: Self.window)
        // The interpreter.
        for r in 0..<15 { Self.setRegister(cpu, r, state[r]) }
        Self.setRegister(cpu, 15, 0)
        cpu.rflags = state[16] & ~0x200
        instruction.withUnsafeBytes { _ = memory.copyIn($0, at: 0x10_0000) }
        cpu.pointee.rip = 0x10_0000
        let exit = vcpu.run(until: vcpu.now + 1)
        tried[name, default: 0] += 1
        done += 1
        let repeated = i.prefixes.rawValue & 6 != 0
        var exits = exit
        // A repeated instruction takes more cycles.
        var rounds = 0
        while repeated && exits == .deadline && cpu.pointee.rip == 0x10_0000 && rounds < 50 {
          exits = vcpu.run(until: vcpu.now + 1)
          rounds += 1
        }
        if exits != .deadline {
          if name == "div" || name == "idiv" { if exits == .exception(vector: 0, errorCode: nil) { continue } }
          failures[name, default: 0] += 1
          if failures[name] ?? 0 < 3 { print("EXIT", name, Self.hex(instruction), exits, i) }
          continue
        }
        // Silicon.
        let before = (0..<17).map { state[$0] }
        let run = code.function(Self.stub(instruction), as: (@convention(c) (State) -> Void).self)
        run(state)
        var differences: [String] = []
        for r in 0..<15 where cpu.general(r) != state[r] {
          differences.append("r\(r) \(String(cpu.general(r), radix: 16)) silicon \(String(state[r], radix: 16))")
        }
        let flags = cpu.rflags & (arithmetic | 0x400)
        if flags != state[16] & (arithmetic | 0x400) {
          differences.append(
            "flags \(String(flags, radix: 16)) silicon \(String(state[16] & 0xCD5, radix: 16)) xor \(String(flags ^ state[16] & 0xCD5, radix: 16))"
          )
        }
        if cpu.pointee.rip != 0x10_0000 + UInt64(i.length) { differences.append("rip") }
        if memcmp(raw, memory.base + Int(Self.window), Self.windowBytes) != 0 { differences.append("memory") }
        if !differences.isEmpty {
          failures[name, default: 0] += 1
          if failures[name] ?? 0 < 3 {
            print(
              "DIFF", name, Self.hex(instruction), differences, "before", before.map { String($0, radix: 16) }, "size", i.operands.0.size)
          }
        }
      }
      #expect(Self.names.subtracting(tried.keys).count < 4)
      #expect(failures.isEmpty)
    }
  }

#endif
