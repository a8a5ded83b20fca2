#if arch(x86_64) && canImport(Glibc)
  import CHost
  import Foundation
  import Glibc
  import GuestMemory
  import Random
  import Testing
  import X86

  @testable import Processor

  extension IntegerSiliconTests {
    /// The low page that holds the way into 32-bit code and back, and the state that both sides see.
    static let gate: UInt64 = 0x1F_0000

    /// 64-bit entry at 0: switches to a low stack and calls the 32-bit stub at 0x100 through selector 23h. State at 0x800: eight
    /// registers, flags; 0x900: saved stack pointers; 0x910: the far pointer.
    static func gateCode(_ instruction: [UInt8]) -> [UInt8] {
      func low(_ offset: UInt64) -> [UInt8] { withUnsafeBytes(of: UInt32(gate + offset).littleEndian) { Array($0) } }
      var code: [UInt8] = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]
      code += [0x48, 0x89, 0x24, 0x25] + low(0x900)  // mov [saved], rsp
      code += [0xBC] + low(0xF00)  // mov esp, low stack
      code += [0xFF, 0x1C, 0x25] + low(0x910)  // call far [pointer]
      code += [0x48, 0x8B, 0x24, 0x25] + low(0x900)
      code += [0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3]
      code += [UInt8](repeating: 0x90, count: 0x100 - code.count)
      code += [0xB9, 0x2B, 0, 0, 0, 0x8E, 0xD9, 0x8E, 0xC1]  // mov ecx, 2Bh; mov ds, cx; mov es, cx
      code += [0x89, 0x25] + low(0x908)  // mov [saved], esp
      code += [0xFF, 0x35] + low(0x820) + [0x9D]  // push flags; popfd
      for r in [0, 1, 2, 3, 5, 6, 7, 4] as [UInt64] { code += [0x8B, UInt8(r << 3 | 5)] + low(0x800 + r * 4) }
      code += instruction
      for r in 0..<8 as Range<UInt64> { code += [0x89, UInt8(r << 3 | 5)] + low(0x800 + r * 4) }
      code += [0x8B, 0x25] + low(0x908)
      code += [0x9C, 0x8F, 0x05] + low(0x820) + [0xFC, 0xCB]  // pushfd; pop flags; cld; retf
      return code
    }

    /// Whether selector 23h is a 32-bit code segment of this kernel.
    static func has32BitCode(_ page: UnsafeMutableRawPointer) -> Bool {
      // xor eax, eax; mov ecx, 23h; lar eax, ecx; ret
      let probe: [UInt8] = [0x31, 0xC0, 0xB9, 0x23, 0, 0, 0, 0x0F, 0x02, 0xC1, 0xC3]
      probe.withUnsafeBytes { page.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      let rights = unsafeBitCast(page, to: (@convention(c) () -> UInt32).self)()
      // Present code, D set, L clear.
      return rights & 0x9800 == 0x9800 && rights & 0x0060_0000 == 0x0040_0000
    }

    static let names32 = Set("aaa aas daa das aam aad salc pushad pushaw popad popaw arpl".split(separator: " ").map(String.init))

    @Test func likeSiliconIn32BitCode() throws {
      guard Self.hostHasAll else { return }
      let environment = ProcessInfo.processInfo.environment
      let count = environment["PARAVANE_SILICON_COUNT"].flatMap { Int($0) } ?? 5_000
      var g = SeededRandom(seed: environment["PARAVANE_SILICON_SEED"].flatMap { UInt64($0) } ?? 0x1234_5678_9ABC_DEF1)
      func map(_ address: UInt64, _ bytes: Int, _ protection: Int32) -> UnsafeMutableRawPointer? {
        let p = mmap(
          UnsafeMutableRawPointer(bitPattern: UInt(address)), bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
        return p.flatMap { UInt(bitPattern: $0) == UInt(address) ? $0 : nil }
      }
      guard let gate = map(Self.gate, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) else { return }
      defer { munmap(gate, 4096) }
      guard Self.has32BitCode(gate), let raw = map(Self.window, Self.windowBytes, PROT_READ | PROT_WRITE) else { return }
      defer { munmap(raw, Self.windowBytes) }
      (gate + 0x910).storeBytes(of: UInt32(Self.gate + 0x100), as: UInt32.self)
      (gate + 0x914).storeBytes(of: UInt16(0x23), as: UInt16.self)
      let memory = try MachineMemory(frameCount: 1024)
      let vcpu = VCPU(memory: memory)
      let cpu = vcpu.cpu
      cpu.pointee.mode = 1
      let state = (gate + 0x800).bindMemory(to: UInt32.self, capacity: 9)
      let allowed = Self.names.union(Self.names32)
      var failures: [String: Int] = [:]
      var tried = Set<String>()
      var done = 0
      while done < count {
        let bytes = Self.candidate(&g)
        guard let i = try? bytes.withUnsafeBytes({ try Decoder.decode($0, mode: .protected32) }) else { continue }
        let name = i.mnemonic.name
        let operands = [i.operands.0, i.operands.1, i.operands.2, i.operands.3]
        guard allowed.contains(name), !i.prefixes.contains(.segment), !i.prefixes.contains(.lock) else { continue }
        if operands.contains(where: { $0.kind == .general && ($0.register == 4 || $0.register > 7) }) { continue }
        if operands.contains(where: { [.segment, .control, .debug, .vector, .mmx].contains($0.kind) }) { continue }
        let hasMemory = operands.contains { $0.kind == .memory }
        // 16-bit addresses do not reach the window, and the far stack wants all of ESP.
        if i.addressSize == 2 && name != "lea" && name != "nop" || i.base == 4 { continue }
        if ["enter", "div", "idiv", "xlatb"].contains(name) { continue }
        let middle = UInt32(Self.window) + 2048
        for r in 0..<8 { state[r] = UInt32(truncatingIfNeeded: g.value()) }
        state[4] = middle + 1024 + UInt32(g.next() % 16)
        if hasMemory && name != "lea" && name != "nop" {
          guard i.base >= 0, i.base != i.index else { continue }
          let index: UInt32 = i.index >= 0 ? UInt32(g.next() % 8) : 0
          if i.index >= 0 { state[Int(i.index)] = index }
          let place = middle &+ UInt32(g.next() % 32)
          state[Int(i.base)] = place &- UInt32(truncatingIfNeeded: i.displacement) &- index << UInt32(i.scale)
          if ["bt", "bts", "btr", "btc"].contains(name), i.operands.1.kind == .general {
            let r = Int(i.operands.1.register)
            if r == Int(i.base) || r == Int(i.index) { continue }
            let offset = UInt32(truncatingIfNeeded: Int64(bitPattern: g.next()) % 8000)
            state[r] = i.operandSize == 2 ? state[r] & 0xFFFF_0000 | offset & 0xFFFF : offset
          }
        }
        if name == "leave" { state[5] = middle + UInt32(g.next() % 64) }
        if i.operandCount == 0 && "movs stos lods cmps scas".split(separator: " ").contains(where: { name.hasPrefix($0) }) {
          state[6] = middle + UInt32(g.next() % 40)
          state[7] = middle + UInt32(g.next() % 40)
          state[1] = UInt32(g.next() % 12)
        }
        let arithmetic: UInt64 = 0xCD5
        state[8] = UInt32(g.next() & 0x8D5 | 0x202 | (g.next() % 4 == 0 ? 0x400 : 0))
        let words = raw.assumingMemoryBound(to: UInt64.self)
        for n in 0..<Self.windowBytes / 8 { words[n] = g.next() }
        memory.copyIn(UnsafeRawBufferPointer(start: raw, count: Self.windowBytes), at: Self.window)
        for r in 0..<8 { Self.setRegister(cpu, r, UInt64(state[r])) }
        cpu.rflags = UInt64(state[8]) & ~0x200
        let instruction = Array(bytes[0..<Int(i.length)])
        memory.copyIn(instruction, at: 0x10_0000)
        cpu.pointee.rip = 0x10_0000
        var exit = vcpu.run(until: vcpu.now + 1)
        var rounds = 0
        while exit == .deadline && cpu.pointee.rip == 0x10_0000 && rounds < 50 && i.prefixes.rawValue & 6 != 0 {
          exit = vcpu.run(until: vcpu.now + 1)
          rounds += 1
        }
        done += 1
        tried.insert(name)
        if exit != .deadline {
          if name == "aam" && exit == .exception(vector: 0, errorCode: nil) { continue }
          failures[name, default: 0] += 1
          if failures[name] ?? 0 < 3 { print("EXIT", name, Self.hex(instruction), exit) }
          continue
        }
        let before = (0..<9).map { String(state[$0], radix: 16) }
        Self.gateCode(instruction).withUnsafeBytes { gate.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        unsafeBitCast(gate, to: (@convention(c) () -> Void).self)()
        var differences: [String] = []
        for r in 0..<8 where cpu.general(r) != UInt64(state[r]) {
          differences.append("r\(r) \(String(cpu.general(r), radix: 16)) silicon \(String(state[r], radix: 16))")
        }
        let flags = cpu.rflags & arithmetic
        let wanted = UInt64(state[8]) & arithmetic
        if flags != wanted { differences.append("flags \(String(flags, radix: 16)) silicon \(String(wanted, radix: 16))") }
        if memcmp(raw, memory.base + Int(Self.window), Self.windowBytes) != 0 { differences.append("memory") }
        if cpu.pointee.rip != 0x10_0000 + UInt64(i.length) { differences.append("rip") }
        if !differences.isEmpty {
          failures[name, default: 0] += 1
          if failures[name] ?? 0 < 3 { print("DIFF32", name, Self.hex(instruction), differences, "before", before) }
        }
      }
      #expect(failures.isEmpty)
      #expect(Self.names32.subtracting(tried).count < 3)
    }
  }
#endif
