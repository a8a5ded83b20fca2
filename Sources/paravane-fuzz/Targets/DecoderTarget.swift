import Random
import Silicon
import X86

/// The decoder on bytes of any kind, with nothing readable behind them: it ends, names no byte that is not there, and says the same
/// of an instruction's own bytes alone.
struct DecoderTarget: FuzzTarget {
  static var batch: UInt64 { 4096 }
  private let prefixes: [UInt8] = [
    0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0x40, 0x48, 0x4F, 0x0F, 0xC4, 0xC5, 0x62,
  ]
  init() {}

  mutating func run(_ random: inout SeededRandom) -> String? {
    let count = Int(random.below(18))
    var bytes: [UInt8] = []
    while bytes.count < count {
      let usual = random.oneIn(3)
      bytes.append(usual ? prefixes[Int(random.below(UInt64(prefixes.count)))] : UInt8(truncatingIfNeeded: random.next()))
    }
    let mode = CodeMode(rawValue: UInt8(random.below(3))) ?? .long64
    // An allocation of exactly these bytes.
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(count, 1))
    defer { memory.deallocate() }
    for i in 0..<count { memory[i] = bytes[i] }
    guard let instruction = try? Decoder.decode(memory, available: count, mode: mode) else { return nil }
    let length = Int(instruction.length)
    if length == 0 || length > 15 || length > count { return "length \(length) of \(bytes)" }
    _ = instruction.text(at: random.next())
    guard let alone = try? Decoder.decode(memory, available: length, mode: mode), alone == instruction else {
      return "\(bytes) decodes otherwise alone"
    }
    do throws(DecodeError) {
      _ = try Decoder.decode(memory, available: length - 1, mode: mode)
      return "\(bytes) decodes without its last byte"
    } catch {
      return error == .truncated ? nil : "\(bytes) without its last byte is \(error)"
    }
  }
}
