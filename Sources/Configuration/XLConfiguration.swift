/// A parsed xl.cfg file: keys and values in the file's order (xl.cfg(5), "SYNTAX").
public struct XLConfiguration: Sendable, Equatable {
  public enum Value: Sendable, Equatable {
    case string(String)
    case number(Int64)
    case list([Value])
  }

  public struct Entry: Sendable, Equatable {
    public var key: String
    public var value: Value
    public var line: Int
  }

  public private(set) var entries: [Entry] = []

  /// The value of a key; the last assignment stands.
  public subscript(key: String) -> Value? { entries.last { $0.key == key }?.value }

  public func string(_ key: String) throws(ConfigurationError) -> String? {
    guard let entry = entries.last(where: { $0.key == key }) else { return nil }
    switch entry.value {
    case .string(let text): return text
    case .number(let number): return String(number)
    case .list: throw ConfigurationError(line: entry.line, message: "\(key) wants a string, not a list")
    }
  }

  public func number(_ key: String) throws(ConfigurationError) -> Int64? {
    guard let entry = entries.last(where: { $0.key == key }) else { return nil }
    switch entry.value {
    case .number(let number): return number
    case .string(let text):
      if let number = Int64(text) { return number }
      throw ConfigurationError(line: entry.line, message: "\(key) wants a number, not \"\(text)\"")
    case .list: throw ConfigurationError(line: entry.line, message: "\(key) wants a number, not a list")
    }
  }

  /// A list of strings; a single string is a list of one.
  public func strings(_ key: String) throws(ConfigurationError) -> [String]? {
    guard let entry = entries.last(where: { $0.key == key }) else { return nil }
    switch entry.value {
    case .string(let text): return [text]
    case .number(let number): return [String(number)]
    case .list(let values):
      var strings: [String] = []
      for value in values {
        guard case .string(let text) = value else {
          throw ConfigurationError(line: entry.line, message: "\(key) wants a list of strings")
        }
        strings.append(text)
      }
      return strings
    }
  }

  /// Parses the text of a configuration file. Errors carry the line.
  public init(parsing text: String) throws(ConfigurationError) {
    var scanner = Scanner(text)
    while true {
      scanner.skipBlank(newlines: true)
      guard let character = scanner.peek else { return }
      guard Scanner.startsKey(character) else {
        throw ConfigurationError(line: scanner.line, message: "expected a key, found '\(Character(UnicodeScalar(character)))'")
      }
      let line = scanner.line
      let key = scanner.key()
      scanner.skipBlank(newlines: false)
      let appends = scanner.take(UInt8(ascii: "+"))
      guard scanner.take(UInt8(ascii: "=")) else {
        throw ConfigurationError(line: line, message: "expected '=' after \(key)")
      }
      scanner.skipBlank(newlines: false)
      let value = try scanner.value(depth: 0)
      scanner.skipBlank(newlines: false)
      guard scanner.endOfStatement() else {
        throw ConfigurationError(line: scanner.line, message: "unexpected text after the value of \(key)")
      }
      entries.append(Entry(key: key, value: appends ? merged(key, value) : value, line: line))
    }
  }

  private func merged(_ key: String, _ value: Value) -> Value {
    switch (self[key], value) {
    case (.string(let a)?, .string(let b)): return .string(a + b)
    case (.list(let a)?, .list(let b)): return .list(a + b)
    default: return value
    }
  }
}

/// What is wrong with a configuration, and where: `line` is 0 when it did not come from a file.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible, Sendable {
  public var line: Int
  public var message: String
  public init(line: Int = 0, message: String) {
    self.line = line
    self.message = message
  }
  public var description: String { line > 0 ? "line \(line): \(message)" : message }
}

private struct Scanner {
  private let bytes: [UInt8]
  private var position = 0
  private(set) var line = 1

  init(_ text: String) { bytes = Array(text.utf8) }

  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func advance() {
    if bytes[position] == 10 { line += 1 }
    position += 1
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    advance()
    return true
  }

  static func startsKey(_ c: UInt8) -> Bool { (c | 32) >= 97 && (c | 32) <= 122 || c == 95 }

  /// Blanks and comments; statement ends too if `newlines`.
  mutating func skipBlank(newlines: Bool) {
    while let c = peek {
      if c == UInt8(ascii: "#") {
        while let d = peek, d != 10 {
          _ = d
          advance()
        }
      } else if c == 32 || c == 9 || c == 13 || (newlines && (c == 10 || c == UInt8(ascii: ";"))) {
        advance()
      } else {
        return
      }
    }
  }

  mutating func endOfStatement() -> Bool {
    guard let c = peek else { return true }
    guard c == 10 || c == UInt8(ascii: ";") else { return false }
    advance()
    return true
  }

  mutating func key() -> String {
    let start = position
    while let c = peek, Self.startsKey(c) || (c >= 48 && c <= 57) || c == UInt8(ascii: "-") { advance() }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  mutating func value(depth: Int) throws(ConfigurationError) -> XLConfiguration.Value {
    guard let c = peek, c != 10 else { throw ConfigurationError(line: line, message: "expected a value") }
    if c == UInt8(ascii: "\"") || c == UInt8(ascii: "'") { return .string(try quoted(c)) }
    if c == UInt8(ascii: "[") {
      guard depth < 8 else { throw ConfigurationError(line: line, message: "lists are nested too deeply") }
      return try list(depth: depth)
    }
    let start = position
    while let d = peek, d != 10, d != 32, d != 9, d != 13, d != UInt8(ascii: ","), d != UInt8(ascii: "]"), d != UInt8(ascii: ";"),
      d != UInt8(ascii: "#")
    { advance() }
    let word = String(decoding: bytes[start..<position], as: UTF8.self)
    let number = word.hasPrefix("0x") ? Int64(word.dropFirst(2), radix: 16) : Int64(word)
    guard let number else { throw ConfigurationError(line: line, message: "'\(word)' is neither a number nor a quoted string") }
    return .number(number)
  }

  private mutating func quoted(_ quote: UInt8) throws(ConfigurationError) -> String {
    let start = line
    advance()
    var text: [UInt8] = []
    while let c = peek {
      advance()
      if c == quote { return String(decoding: text, as: UTF8.self) }
      if c == UInt8(ascii: "\\"), let escaped = peek {
        advance()
        text.append(escaped == UInt8(ascii: "n") ? 10 : escaped == UInt8(ascii: "t") ? 9 : escaped)
      } else {
        text.append(c)
      }
    }
    throw ConfigurationError(line: start, message: "the string is not closed")
  }

  private mutating func list(depth: Int) throws(ConfigurationError) -> XLConfiguration.Value {
    let start = line
    advance()
    var values: [XLConfiguration.Value] = []
    while true {
      skipBlank(newlines: true)
      guard let c = peek else { throw ConfigurationError(line: start, message: "the list is not closed") }
      if c == UInt8(ascii: "]") {
        advance()
        return .list(values)
      }
      values.append(try value(depth: depth + 1))
      skipBlank(newlines: true)
      if !take(UInt8(ascii: ",")), let next = peek, next != UInt8(ascii: "]") {
        throw ConfigurationError(line: line, message: "expected ',' or ']' in the list")
      }
    }
  }
}
