import CHost
import Random
import Testing

@testable import Processor

@Suite struct VectorNameTests {
  @Test func namesAreInTheInstructionTable() {
    _ = LoweringTable.shared
    #expect(LoweringTable.unknownNames == [])
  }
}

#if arch(x86_64) && os(Linux)
  /// Every encoding gives the host's registers, memory, flags and MXCSR, on random and extreme operands.
  @Suite(.serialized) struct VectorOracleTests {
    @Test func integersAndMoves() throws { try compare(vectorEncodings, floating: false) }
    @Test func floatingPoint() throws { try compare(vectorFloatEncodings, floating: true) }

    /// The kernels of other hosts, the soft-float above all, do the same.
    @Test func portableKernels() throws {
      _ = LoweringTable.shared
      hostKernelsAllowed = false
      defer { hostKernelsAllowed = true }
      var table = LoweringTable()
      registerVector(&table)
      try compare(vectorFloatEncodings, floating: true, table)
      let hosted = ["packss", "packus", "pshufb", "pmaddubsw", "aes", "pclmul"]
      let lines = vectorEncodings.split(separator: "\n").filter { line in hosted.contains { line.contains($0) } }
      try compare(lines.joined(separator: "\n"), floating: false, table)
    }

    /// Gathers: small indices, random masks.
    @Test func gathers() throws {
      let text = """
        vpgatherdd c4e265904c9640 c4e261904c9640
        vpgatherdq c4e2e5904cd640
        vpgatherqd c4e265914c5640 c4e261914c5640
        vpgatherqq c4e2e5914c1640
        vgatherdpd c4e2e1924cd640
        vgatherdps c4221d924c9640
        vgatherqpd c4e2e5934cd640
        vgatherqps c4e265934cd640
        """
      try compare(text, floating: false, rounds: 20) { record, random in
        // Indices below 16 in registers 2 and 10, as doublewords and quadwords; masks in 3 and 12 stay random.
        for register in [2, 10] {
          for i in 0..<4 { record.storeBytes(of: random.below(16), toByteOffset: register * 32 + i * 8, as: UInt64.self) }
        }
      }
    }

    /// (name, bytes) of every encoding in a text.
    static func encodings(_ text: String) -> [(name: String, bytes: [UInt8])] {
      var result: [(String, [UInt8])] = []
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        for word in words.dropFirst() {
          let parts = word.split(separator: "/")
          let base = hex(parts[0])
          guard parts.count > 1 else {
            result.append((String(words[0]), base))
            continue
          }
          for range in parts[1].split(separator: ",") {
            let ends = range.split(separator: "-").map { UInt8($0, radix: 16)! }
            for immediate in ends[0]...ends[ends.count - 1] { result.append((String(words[0]), base + [immediate])) }
          }
        }
      }
      return result
    }

    private static func hex(_ text: Substring) -> [UInt8] {
      var bytes: [UInt8] = []
      var digits = text[...]
      while !digits.isEmpty {
        bytes.append(UInt8(digits.prefix(2), radix: 16)!)
        digits = digits.dropFirst(2)
      }
      return bytes
    }

    private typealias Setup = (UnsafeMutableRawPointer, inout SeededRandom) -> Void

    private func compare(
      _ text: String, floating: Bool, _ table: LoweringTable = .shared, rounds: Int? = nil, setup: Setup? = nil
    ) throws {
      let host = try #require(VectorHost())
      guard host.hasAll else { return }
      let guest = VectorGuest()
      var random = SeededRandom(seed: 7)
      var wrong: [String: Int] = [:]
      var order: [String] = []
      for (name, bytes) in Self.encodings(text) {
        guard guest.prepare(bytes, table) else {
          if wrong[name] == nil { order.append("\(name): no handler \(bytes.map { String($0, radix: 16) })") }
          wrong[name, default: 0] += 1
          continue
        }
        host.prepare(bytes)
        for round in 0..<(rounds ?? (floating ? 24 : 6)) {
          if let difference = trial(host, guest, round, floating, &random, setup) {
            if wrong[name] == nil { order.append("\(name) \(bytes.map { String($0, radix: 16) }): \(difference)") }
            wrong[name, default: 0] += 1
            break
          }
        }
      }
      #expect(order == [])
    }

    /// One execution on both; what differs, or nil.
    private func trial(
      _ host: VectorHost, _ guest: VectorGuest, _ round: Int, _ floating: Bool, _ random: inout SeededRandom, _ setup: Setup?
    ) -> String? {
      let cpu = guest.cpu
      let record = host.record
      let kind = floating ? random.below(7) : UInt64(round) % 3 == 0 ? 7 : random.below(3)
      // The operands.
      for i in 0..<64 { record.storeBytes(of: random.element(kind), toByteOffset: i * 8, as: UInt64.self) }
      setup?(record, &random)
      for i in 0..<3 {
        let value = kind == 7 ? random.below(40) &- 20 : random.next()
        record.storeBytes(of: value, toByteOffset: VectorHost.general + i * 8, as: UInt64.self)
      }
      let buffer = guest.page + 256
      record.storeBytes(of: UInt64(UInt(bitPattern: buffer)), toByteOffset: VectorHost.general + 24, as: UInt64.self)
      let flags = random.next() & Flag.arithmetic | 0x202
      record.storeBytes(of: flags, toByteOffset: VectorHost.flags, as: UInt64.self)
      var control: UInt32 = 0x1F80 | UInt32(random.below(64))
      if round % 3 != 0 { control = 0x1F80 | UInt32(random.below(4)) << 13 | UInt32(random.below(2)) << 15 | UInt32(random.below(2)) << 6 }
      record.storeBytes(of: control, toByteOffset: VectorHost.mxcsr, as: UInt32.self)
      for i in 0..<32 { buffer.storeBytes(of: random.element(kind), toByteOffset: i * 8, as: UInt64.self) }
      // The interpreter.
      guest.ymm.copyMemory(from: record, byteCount: 512)
      cpu.pointee.gpr.0 = record.load(fromByteOffset: VectorHost.general, as: UInt64.self)
      cpu.pointee.gpr.1 = record.load(fromByteOffset: VectorHost.general + 8, as: UInt64.self)
      cpu.pointee.gpr.2 = record.load(fromByteOffset: VectorHost.general + 16, as: UInt64.self)
      cpu.pointee.gpr.6 = UInt64(UInt(bitPattern: buffer))
      cpu.rflags = flags
      cpu.pointee.mxcsr = control
      let memory = [UInt8](UnsafeRawBufferPointer(start: buffer, count: 256))
      if let vector = guest.run() { return "raised \(vector)" }
      let after = [UInt8](UnsafeRawBufferPointer(start: buffer, count: 256))
      memory.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress!, byteCount: 256) }
      // The host.
      let before = [UInt64](UnsafeBufferPointer(start: record.assumingMemoryBound(to: UInt64.self), count: 64))
      host.run()
      for n in 0..<16 {
        for lane in 0..<4 {
          let at = n * 32 + lane * 8
          let mine = guest.ymm.load(fromByteOffset: at, as: UInt64.self)
          let theirs = record.load(fromByteOffset: at, as: UInt64.self)
          if mine != theirs {
            let inputs = [0, 1, 2, 3, 4, 9, 10].map { "\($0):" + String(before[$0 * 4 + lane], radix: 16) }
            return "ymm\(n)[\(lane)] \(String(mine, radix: 16)) not \(String(theirs, radix: 16)), mxcsr \(control), from \(inputs)"
          }
        }
      }
      if after != [UInt8](UnsafeRawBufferPointer(start: buffer, count: 256)) { return "memory" }
      for (i, value) in [cpu.pointee.gpr.0, cpu.pointee.gpr.1, cpu.pointee.gpr.2].enumerated() {
        let theirs = record.load(fromByteOffset: VectorHost.general + i * 8, as: UInt64.self)
        if value != theirs { return "general \(i) \(String(value, radix: 16)) not \(String(theirs, radix: 16))" }
      }
      let theirFlags = record.load(fromByteOffset: VectorHost.flags, as: UInt64.self) & Flag.arithmetic
      if cpu.rflags & Flag.arithmetic != theirFlags { return "flags \(cpu.rflags & Flag.arithmetic) not \(theirFlags)" }
      let theirControl = record.load(fromByteOffset: VectorHost.mxcsr, as: UInt32.self)
      if cpu.pointee.mxcsr != theirControl {
        let inputs = [1, 2, 3].map { "\($0):" + String(before[$0 * 4], radix: 16) }
        return "mxcsr \(String(cpu.pointee.mxcsr, radix: 16)) not \(String(theirControl, radix: 16)) from \(inputs)"
      }
      return nil
    }
  }
#endif
