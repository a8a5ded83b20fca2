/// Turns what a terminal sends into what a PC keyboard with the US layout would: scan codes of set 1, each key pressed and released.
///
/// Keys that send escape sequences are known as xterm, VT220 and the Linux console send them, with xterm's modifiers. Characters that
/// the layout has no key for are dropped.
public struct TerminalKeyboard: Sendable {
  /// An escape sequence that has not ended.
  private var held: [UInt8] = []
  /// Sequences of keyboards are short; longer ones are somebody else's, and dropped.
  private static let longest = 16

  public init() {}

  /// Something is held that the next bytes may end.
  public var isInSequence: Bool { !held.isEmpty }

  /// - Returns: scan codes; an escape sequence that has begun waits for its end.
  public mutating func translate(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var codes: [UInt8] = []
    for byte in bytes {
      if held.isEmpty {
        if byte == 0x1B { held = [byte] } else { codes += Self.character(byte) }
      } else {
        continueSequence(byte, &codes)
      }
    }
    return codes
  }

  /// Nothing followed within a moment: what was held is a key by itself, Escape most likely.
  public mutating func flush() -> [UInt8] {
    defer { held = [] }
    if held == [0x1B] { return ScanCodes.chord([Key.escape]) }
    // Alt-[ and Alt-O look like a sequence's first two bytes.
    if held.count == 2 { return Self.character(held[1], with: [Key.alt]) }
    return []
  }

  private mutating func continueSequence(_ byte: UInt8, _ codes: inout [UInt8]) {
    if held.count == 1 {
      switch byte {
      case 0x1B: codes += ScanCodes.chord([Key.escape])
      case UInt8(ascii: "["), UInt8(ascii: "O"): held.append(byte)
      default:
        held = []
        codes += Self.character(byte, with: [Key.alt])
      }
      return
    }
    if byte == 0x1B {
      held = [byte]
      return
    }
    held.append(byte)
    // Parameters, then a final byte; "[[" is the Linux console's own.
    let isLinux = held.count == 3 && held[1] == byte && byte == UInt8(ascii: "[")
    if (0x40...0x7E).contains(byte) && !isLinux {
      codes += Self.sequence(held)
      held = []
    } else if held.count >= Self.longest || byte < 0x20 || byte > 0x7E {
      held = []
    }
  }

  // MARK: - Tables

  private enum Key {
    static let escape: UInt16 = 0x01
    static let backspace: UInt16 = 0x0E
    static let tab: UInt16 = 0x0F
    static let enter: UInt16 = 0x1C
    static let control: UInt16 = 0x1D
    static let shift: UInt16 = 0x2A
    static let alt: UInt16 = 0x38
    static let space: UInt16 = 0x39
  }

  /// The characters of the keys in rows, plain and with Shift, and the first key's code.
  private static let rows: [(first: UInt16, plain: String, shifted: String)] = [
    (0x02, "1234567890-=", "!@#$%^&*()_+"), (0x10, "qwertyuiop[]", "QWERTYUIOP{}"), (0x1E, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
  ]

  /// By ASCII character: the key's code, bit 8 with Shift; 0: none.
  private static let keys: [UInt16] = {
    var keys = [UInt16](repeating: 0, count: 128)
    for row in rows {
      for (offset, character) in row.plain.utf8.enumerated() { keys[Int(character)] = row.first + UInt16(offset) }
      for (offset, character) in row.shifted.utf8.enumerated() { keys[Int(character)] = row.first + UInt16(offset) | 0x100 }
    }
    keys[0x20] = Key.space
    return keys
  }()

  /// The keys for one byte that is no part of a sequence.
  private static func character(_ byte: UInt8, with modifiers: [UInt16] = []) -> [UInt8] {
    switch byte {
    case 0x08, 0x7F: return ScanCodes.chord(modifiers + [Key.backspace])
    case 0x09: return ScanCodes.chord(modifiers + [Key.tab])
    case 0x0A, 0x0D: return ScanCodes.chord(modifiers + [Key.enter])
    case 0x1B: return ScanCodes.chord(modifiers + [Key.escape])
    case 0x00: return ScanCodes.chord([Key.control] + modifiers + [Key.space])
    // Control and a letter; behind those, \ ] 6 and -.
    case 0x01...0x1A: return ScanCodes.chord([Key.control] + modifiers + [keys[Int(byte) + 0x60]])
    case 0x1C...0x1D: return ScanCodes.chord([Key.control] + modifiers + [keys[Int(byte) + 0x40]])
    case 0x1E: return ScanCodes.chord([Key.control] + modifiers + [keys[0x36]])
    case 0x1F: return ScanCodes.chord([Key.control] + modifiers + [keys[0x2D]])
    case 0x20...0x7E:
      let key = keys[Int(byte)]
      return ScanCodes.chord((key & 0x100 != 0 ? [Key.shift] : []) + modifiers + [key & 0xFF])
    default: return []
    }
  }

  /// The keys for a whole escape sequence.
  private static func sequence(_ bytes: [UInt8]) -> [UInt8] {
    guard let final = bytes.last else { return [] }
    if bytes.count == 4, bytes[2] == UInt8(ascii: "[") {
      // ESC [ [ A to E: F1 to F5 on the Linux console.
      return (0x41...0x45).contains(final) ? ScanCodes.chord([0x3B + UInt16(final - 0x41)]) : []
    }
    let numbers = bytes[2..<bytes.count - 1].split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map {
      $0.reduce(0) { (0x30...0x39).contains($1) ? min($0 * 10 + Int($1 - 0x30), 999) : $0 }
    }
    let bits = numbers.count > 1 ? max(numbers[1], 1) - 1 : 0
    var keys: [UInt16] = []
    if bits & 4 != 0 { keys.append(Key.control) }
    if bits & 1 != 0 { keys.append(Key.shift) }
    if bits & 2 != 0 { keys.append(Key.alt) }
    let key: UInt16
    switch final {
    case UInt8(ascii: "Z"): (key, keys) = (Key.tab, [Key.shift])
    case UInt8(ascii: "M") where bytes[1] == UInt8(ascii: "O"): key = 0xE01C
    case UInt8(ascii: "~"): key = numbered(numbers.first ?? 0)
    default: key = lettered(final)
    }
    return key == 0 ? [] : ScanCodes.chord(keys + [key])
  }

  private static func lettered(_ final: UInt8) -> UInt16 {
    switch final {
    case UInt8(ascii: "A"): return 0xE048
    case UInt8(ascii: "B"): return 0xE050
    case UInt8(ascii: "C"): return 0xE04D
    case UInt8(ascii: "D"): return 0xE04B
    case UInt8(ascii: "E"): return 0x4C
    case UInt8(ascii: "F"): return 0xE04F
    case UInt8(ascii: "H"): return 0xE047
    case UInt8(ascii: "P")...UInt8(ascii: "S"): return 0x3B + UInt16(final - UInt8(ascii: "P"))
    default: return 0
    }
  }

  private static func numbered(_ number: Int) -> UInt16 {
    switch number {
    case 1, 7: return 0xE047
    case 2: return 0xE052
    case 3: return 0xE053
    case 4, 8: return 0xE04F
    case 5: return 0xE049
    case 6: return 0xE051
    case 11...15: return 0x3B + UInt16(number - 11)
    case 17...21: return 0x40 + UInt16(number - 17)
    case 23, 24: return 0x57 + UInt16(number - 23)
    default: return 0
    }
  }
}
