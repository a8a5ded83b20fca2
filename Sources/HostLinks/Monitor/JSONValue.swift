/// A JSON text's value (RFC 8259).
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int64)
  /// A number with a fraction or an exponent, or one that is too large for `integer`.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  public struct Malformed: Error, Equatable, CustomStringConvertible {
    /// Bytes before what is wrong.
    public var offset: Int
    public var description: String { "it is not JSON, from byte \(offset) on" }
  }

  /// - Throws: `Malformed`, also for values nested deeper than 32 and for text that is not UTF-8.
  public init(parsing bytes: [UInt8]) throws(Malformed) {
    var parser = JSONParser(bytes: bytes)
    self = try parser.document()
  }

  public subscript(key: String) -> JSONValue? {
    if case .object(let members) = self { return members[key] }
    return nil
  }

  public var string: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// One line; members of objects in the order of their names.
  public var text: String {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .integer(let value): return String(value)
    case .number(let value): return value.isFinite ? String(value) : "null"
    case .string(let value): return Self.quoted(value)
    case .array(let values): return "[" + values.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      let sorted = members.sorted { $0.key < $1.key }
      return "{" + sorted.map { Self.quoted($0.key) + ": " + $0.value.text }.joined(separator: ", ") + "}"
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// Reads one value. Every step moves forward, and looks at no byte behind the end.
private struct JSONParser {
  let bytes: [UInt8]
  var at = 0
  private static let deepest = 32

  init(bytes: [UInt8]) { self.bytes = bytes }

  private var next: UInt8? { at < bytes.count ? bytes[at] : nil }
  private var wrong: JSONValue.Malformed { JSONValue.Malformed(offset: at) }

  mutating func document() throws(JSONValue.Malformed) -> JSONValue {
    let value = try value(depth: 0)
    skipSpace()
    guard at == bytes.count else { throw wrong }
    return value
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || (0x09...0x0A).contains(byte) || byte == 0x0D { at += 1 }
  }

  /// Takes a byte if it is next.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    at += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
    skipSpace()
    guard depth <= Self.deepest else { throw wrong }
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws(JSONValue.Malformed) -> JSONValue {
    guard bytes[at...].starts(with: word.utf8) else { throw wrong }
    at += word.utf8.count
    return value
  }

  private mutating func object(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
    at += 1
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take("}") { return .object(members) }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw wrong }
      let key = try string()
      skipSpace()
      guard take(":") else { throw wrong }
      members[key] = try value(depth: depth + 1)
      skipSpace()
    } while take(",")
    guard take("}") else { throw wrong }
    return .object(members)
  }

  private mutating func array(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
    at += 1
    var values: [JSONValue] = []
    skipSpace()
    if take("]") { return .array(values) }
    repeat {
      values.append(try value(depth: depth + 1))
      skipSpace()
    } while take(",")
    guard take("]") else { throw wrong }
    return .array(values)
  }

  private mutating func string() throws(JSONValue.Malformed) -> String {
    at += 1
    var result: [UInt8] = []
    while let byte = next, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw wrong }
      at += 1
      if byte == UInt8(ascii: "\\") { result += Array(String(try escaped()).utf8) } else { result.append(byte) }
    }
    guard let text = String(validating: result, as: UTF8.self), take("\"") else { throw wrong }
    return text
  }

  /// What stands for a character behind a backslash.
  private mutating func escaped() throws(JSONValue.Malformed) -> Unicode.Scalar {
    guard let byte = next else { throw wrong }
    at += 1
    switch byte {
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "u"): break
    default: throw wrong
    }
    var code = try hexadecimal()
    if (0xD800..<0xDC00).contains(code) {
      // The first half of a pair.
      guard take("\\"), take("u") else { throw wrong }
      let low = try hexadecimal()
      guard (0xDC00..<0xE000).contains(low) else { throw wrong }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw wrong }
    return scalar
  }

  private mutating func hexadecimal() throws(JSONValue.Malformed) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw wrong }
      code = code << 4 | UInt32(digit)
      at += 1
    }
    return code
  }

  private mutating func number() throws(JSONValue.Malformed) -> JSONValue {
    let start = at
    var isWhole = true
    _ = take("-")
    guard let first = next, (0x30...0x39).contains(first) else { throw wrong }
    skipDigits()
    guard first != 0x30 || at - start <= (bytes[start] == 0x30 ? 1 : 2) else { throw wrong }
    if take(".") {
      isWhole = false
      try oneDigitAtLeast()
    }
    if take("e") || take("E") {
      isWhole = false
      if !take("+") { _ = take("-") }
      try oneDigitAtLeast()
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isWhole, let value = Int64(text) { return .integer(value) }
    guard let value = Double(text) else { throw wrong }
    return .number(value)
  }

  private mutating func skipDigits() { while let byte = next, (0x30...0x39).contains(byte) { at += 1 } }

  private mutating func oneDigitAtLeast() throws(JSONValue.Malformed) {
    let start = at
    skipDigits()
    guard at > start else { throw wrong }
  }
}
