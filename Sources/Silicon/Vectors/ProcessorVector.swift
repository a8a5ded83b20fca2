import Foundation

/// One instruction that was run on a real processor: the state before and after it. Registers are in the order of `names`.
public struct ProcessorVector: Sendable {
  public static let names = ["ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags"]
  public struct Cell: Sendable, Equatable {
    public var address: UInt32
    public var value: UInt8
  }
  public var name = ""
  /// The instruction; what was recorded on an 80286 has the HLT too.
  public var bytes: [UInt8] = []
  public var before = [UInt16](repeating: 0, count: 14)
  public var memory: [Cell] = []
  public var after = [UInt16](repeating: 0, count: 14)
  public var changed: [Cell] = []
  /// The exception it raised.
  public var exception: UInt8?

  static func index(_ name: String) -> Int? { names.firstIndex(of: name) }
}

/// The processor that vectors were recorded on.
public enum RecordedProcessor: Sendable {
  /// 20 address lines, segments that wrap, no invalid opcodes.
  case i8086
  /// Each instruction is followed by a HLT that ran too: IP is behind it.
  case i80286
}

/// A file of such vectors, in one of the two forms in which they are published.
public struct VectorFile: Sendable {
  public var vectors: [ProcessorVector] = []
  public var processor = RecordedProcessor.i8086

  /// Reads an uncompressed file; nil if it is of neither form.
  public init?(_ bytes: [UInt8]) {
    if bytes.starts(with: Array("MOO ".utf8)) {
      // Behind the chunk's length: version, number of vectors, the processor's name.
      if bytes.count >= 20, bytes[16..<20].elementsEqual("C286".utf8) || bytes[16..<20].elementsEqual("286 ".utf8) { processor = .i80286 }
      var reader = ChunkReader(bytes)
      reader.readFile(&vectors)
      return
    }
    guard let list = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]] else { return nil }
    for entry in list {
      if let vector = Self.vector(entry) { vectors.append(vector) }
    }
  }

  private static func vector(_ entry: [String: Any]) -> ProcessorVector? {
    guard let first = entry["initial"] as? [String: Any], let last = entry["final"] as? [String: Any] else { return nil }
    var result = ProcessorVector()
    result.name = entry["name"] as? String ?? ""
    result.bytes = (entry["bytes"] as? [Int] ?? []).map { UInt8(truncatingIfNeeded: $0) }
    registers(first, &result.before)
    result.after = result.before
    registers(last, &result.after)
    result.memory = cells(first)
    result.changed = cells(last)
    return result
  }

  private static func registers(_ state: [String: Any], _ into: inout [UInt16]) {
    guard let registers = state["regs"] as? [String: Int] else { return }
    for (index, name) in ProcessorVector.names.enumerated() {
      if let value = registers[name] { into[index] = UInt16(truncatingIfNeeded: value) }
    }
  }

  private static func cells(_ state: [String: Any]) -> [ProcessorVector.Cell] {
    (state["ram"] as? [[Int]] ?? []).compactMap {
      guard $0.count == 2 else { return nil }
      return ProcessorVector.Cell(address: UInt32(truncatingIfNeeded: $0[0]), value: UInt8(truncatingIfNeeded: $0[1]))
    }
  }
}

/// Reads the binary form: chunks of a name of four letters, a length of four bytes, and so many bytes.
private struct ChunkReader {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private func word(_ at: Int) -> Int {
    guard at >= 0, at + 4 <= bytes.count else { return 0 }
    return Int(bytes[at]) | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2]) << 16 | Int(bytes[at + 3]) << 24
  }

  private func half(_ at: Int) -> UInt16 {
    guard at >= 0, at + 2 <= bytes.count else { return 0 }
    return UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
  }

  /// Calls `body` with every chunk between two offsets.
  private func forEachChunk(_ from: Int, _ end: Int, _ body: (String, Range<Int>) -> Void) {
    var at = from
    while at + 8 <= end {
      let name = String(decoding: bytes[at..<at + 4], as: UTF8.self)
      let length = word(at + 4)
      guard at + 8 + length <= end else { return }
      body(name, at + 8..<at + 8 + length)
      at += 8 + length
    }
  }

  mutating func readFile(_ vectors: inout [ProcessorVector]) {
    var found: [ProcessorVector] = []
    forEachChunk(0, bytes.count) { name, range in
      // A vector's number comes before its chunks.
      if name == "TEST" && range.count > 4 { found.append(vector(range.lowerBound + 4, range.upperBound)) }
    }
    vectors = found
  }

  private func vector(_ from: Int, _ end: Int) -> ProcessorVector {
    var result = ProcessorVector()
    var last: [(Int, UInt16)] = []
    forEachChunk(from, end) { name, range in
      let at = range.lowerBound
      switch name {
      case "NAME": result.name = String(decoding: bytes[clamped(at + 4, word(at), range)], as: UTF8.self)
      case "BYTS": result.bytes = Array(bytes[clamped(at + 4, word(at), range)])
      case "INIT":
        state(range) {
          result.before[$0] = $1
        } cells: {
          result.memory = $0
        }
      case "FINA":
        state(range) {
          last.append(($0, $1))
        } cells: {
          result.changed = $0
        }
      case "EXCP" where !range.isEmpty: result.exception = bytes[at]
      default: break
      }
    }
    result.after = result.before
    for (index, value) in last { result.after[index] = value }
    return result
  }

  private func clamped(_ from: Int, _ count: Int, _ range: Range<Int>) -> Range<Int> {
    let start = min(from, range.upperBound)
    return start..<min(start + max(count, 0), range.upperBound)
  }

  private func state(_ range: Range<Int>, register: (Int, UInt16) -> Void, cells: ([ProcessorVector.Cell]) -> Void) {
    forEachChunk(range.lowerBound, range.upperBound) { name, range in
      let at = range.lowerBound
      if name == "REGS" {
        let mask = half(at)
        var place = at + 2
        for index in 0..<14 where mask >> UInt16(index) & 1 != 0 {
          register(index, half(place))
          place += 2
        }
      } else if name == "RAM " {
        let count = min(word(at), (range.count - 4) / 5)
        cells(
          (0..<max(count, 0)).map {
            ProcessorVector.Cell(address: UInt32(truncatingIfNeeded: word(at + 4 + $0 * 5)), value: bytes[at + 8 + $0 * 5])
          })
      }
    }
  }
}
