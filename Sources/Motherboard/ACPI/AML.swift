/// ACPI Machine Language, as much as a description of fixed hardware takes (ACPI 1.0b, chapters 15 and 16): each function gives
/// an encoded term.
enum AML {
  private enum Opcode {
    static let zero: UInt8 = 0x00
    static let one: UInt8 = 0x01
    static let name: UInt8 = 0x08
    static let byte: UInt8 = 0x0A
    static let word: UInt8 = 0x0B
    static let doubleword: UInt8 = 0x0C
    static let string: UInt8 = 0x0D
    static let scope: UInt8 = 0x10
    static let buffer: UInt8 = 0x11
    static let package: UInt8 = 0x12
    static let dualName: UInt8 = 0x2E
    static let multiName: UInt8 = 0x2F
    static let extended: UInt8 = 0x5B
    static let device: UInt8 = 0x82
  }

  static func integer(_ value: UInt32) -> [UInt8] {
    switch value {
    case 0: return [Opcode.zero]
    case 1: return [Opcode.one]
    case 2...0xFF: return [Opcode.byte, UInt8(value)]
    case 0x100...0xFFFF: return [Opcode.word, UInt8(value & 0xFF), UInt8(value >> 8)]
    default:
      var bytes = [Opcode.doubleword]
      bytes.append(littleEndian: value)
      return bytes
    }
  }

  static func string(_ text: String) -> [UInt8] { [Opcode.string] + Array(text.utf8) + [0] }

  /// A compressed EISA identifier: "PNP0A03".
  static func eisa(_ identifier: String) -> [UInt8] {
    let characters = Array(identifier.utf8)
    guard characters.count == 7 else { return string(identifier) }
    let letters = characters[..<3].reduce(UInt32(0)) { $0 << 5 | UInt32($1 & 0x1F) }
    let product = UInt32(identifier.suffix(4), radix: 16) ?? 0
    return integer((letters << 16 | product).byteSwapped)
  }

  /// A path: "\_SB", "PCI0"; segments of up to four characters with dots between them.
  static func path(_ path: String) -> [UInt8] {
    var rest = path[...]
    var bytes: [UInt8] = []
    if rest.first == "\\" {
      bytes.append(UInt8(ascii: "\\"))
      rest = rest.dropFirst()
    }
    let segments = rest.split(separator: ".")
    switch segments.count {
    case 0: return bytes + [0]
    case 1: break
    case 2: bytes.append(Opcode.dualName)
    default: bytes += [Opcode.multiName, UInt8(clamping: segments.count)]
    }
    for segment in segments { bytes.append(String(segment), padded: 4, with: UInt8(ascii: "_")) }
    return bytes
  }

  /// Contents with their length before them, which counts itself.
  static func sized(_ contents: [UInt8]) -> [UInt8] {
    let count = contents.count
    if count + 1 < 1 << 6 { return [UInt8(count + 1)] + contents }
    let extra = count + 2 < 1 << 12 ? 1 : count + 3 < 1 << 20 ? 2 : 3
    let total = count + 1 + extra
    let head = (1...extra).map { UInt8(truncatingIfNeeded: total >> (8 * $0 - 4)) }
    return [UInt8(extra << 6 | total & 0xF)] + head + contents
  }

  static func name(_ name: String, _ value: [UInt8]) -> [UInt8] { [Opcode.name] + path(name) + value }
  static func scope(_ name: String, _ terms: [[UInt8]]) -> [UInt8] { [Opcode.scope] + sized(path(name) + terms.joined()) }
  static func device(_ name: String, _ terms: [[UInt8]]) -> [UInt8] {
    [Opcode.extended, Opcode.device] + sized(path(name) + terms.joined())
  }
  /// At most 255 elements.
  static func package(_ elements: [[UInt8]]) -> [UInt8] {
    [Opcode.package] + sized([UInt8(clamping: elements.count)] + elements.prefix(255).joined())
  }
  static func buffer(_ bytes: [UInt8]) -> [UInt8] { [Opcode.buffer] + sized(integer(UInt32(clamping: bytes.count)) + bytes) }

  /// Resource descriptors (ACPI 1.0b, section 6.4) as a buffer, with the end tag.
  static func resources(_ descriptors: [[UInt8]]) -> [UInt8] { buffer(Array(descriptors.joined()) + [0x79, 0]) }

  /// I/O ports, 16 bits decoded, fixed.
  static func ports(_ base: UInt16, count: UInt8) -> [UInt8] {
    let (low, high) = (UInt8(base & 0xFF), UInt8(base >> 8))
    return [0x47, 1, low, high, low, high, 1, count]
  }
  /// An ISA interrupt request: edge-triggered, active high.
  static func request(_ number: UInt8) -> [UInt8] {
    let mask = UInt16(1) << UInt16(number & 15)
    return [0x22, UInt8(mask & 0xFF), UInt8(mask >> 8)]
  }

  /// What a bridge passes on, both ends fixed, in words (bus numbers, ports) or doublewords (memory).
  enum Window {
    case buses(ClosedRange<UInt16>)
    case ports(ClosedRange<UInt16>)
    case memory(ClosedRange<UInt32>, isCacheable: Bool)

    var descriptor: [UInt8] {
      let fixed: UInt8 = 0x0C
      var bytes: [UInt8] = []
      switch self {
      case .buses(let range): bytes += [0x88, 13, 0, 2, fixed, 0] + Self.fields(range)
      case .ports(let range): bytes += [0x88, 13, 0, 1, fixed, 3] + Self.fields(range)
      case .memory(let range, let isCacheable): bytes += [0x87, 23, 0, 0, fixed, isCacheable ? 3 : 1] + Self.fields(range)
      }
      return bytes
    }

    /// Granularity, first, last, translation, length.
    private static func fields<T: FixedWidthInteger>(_ range: ClosedRange<T>) -> [UInt8] {
      var bytes: [UInt8] = []
      for value in [0, range.lowerBound, range.upperBound, 0, range.upperBound &- range.lowerBound &+ 1] {
        bytes.append(littleEndian: value)
      }
      return bytes
    }
  }
}
