/// A PS/2 keyboard with 101 keys (IBM Personal System/2 Hardware Interface Technical Reference, keyboards): commands, scan code sets
/// 1 and 2.
struct PS2Keyboard: Codable, Equatable {
  /// Answers to commands, before everything else.
  private var replies: [UInt8] = []
  /// Codes of keys on their way.
  private var codes: [UInt8] = []
  /// Keys that wait, as bytes of set 1.
  private(set) var backlog: [UInt8] = []
  private var isScanning = true
  private var codeSet: UInt8 = 2
  /// The command whose parameter is next, or 0.
  private var command: UInt8 = 0
  private var lastSent: UInt8 = 0
  /// Scroll, Num and Caps Lock, bits 0 to 2.
  private(set) var lights: UInt8 = 0

  /// Keys that wait are dropped beyond this: nobody reads the keyboard.
  private static let longestBacklog = 65536

  var hasByte: Bool { !replies.isEmpty || !codes.isEmpty }

  /// Whether there is a key for `nextKey`, and room for it.
  var canSendKey: Bool { isScanning && codes.isEmpty && !backlog.isEmpty }

  mutating func next() -> UInt8? {
    guard hasByte else { return nil }
    lastSent = replies.isEmpty ? codes.removeFirst() : replies.removeFirst()
    return lastSent
  }

  /// Bytes of set 1, whole keys.
  mutating func press(_ bytes: [UInt8]) {
    if isScanning, backlog.count + bytes.count <= Self.longestBacklog { backlog += bytes }
  }

  /// Sends one key's make or break code.
  mutating func nextKey() {
    guard canSendKey else { return }
    var count = 1
    if backlog[0] == 0xE0 { count = 2 }
    if backlog[0] == 0xE1 { count = 3 }
    let key = backlog.prefix(count)
    if codeSet == 1 {
      codes += key
    } else {
      for byte in key {
        if byte >= 0xE0 {
          codes.append(byte)
        } else if KeyCodeTranslation.set2(byte) != 0 {
          if byte & 0x80 != 0 { codes.append(0xF0) }
          codes.append(KeyCodeTranslation.set2(byte))
        }
      }
    }
    backlog.removeFirst(key.count)
  }

  /// A byte from the controller.
  mutating func write(_ byte: UInt8) {
    let parameterized = command
    command = 0
    if parameterized != 0, byte < 0xED { return parameter(byte, of: parameterized) }
    switch byte {
    // Lights, code set, rate, and the key lists of set 3.
    case 0xED, 0xF0, 0xF3, 0xFB, 0xFC, 0xFD:
      command = byte
      replies.append(0xFA)
    case 0xEE: replies.append(0xEE)
    case 0xF2: replies += [0xFA, 0xAB, 0x83]
    case 0xF4:
      codes = []
      isScanning = true
      replies.append(0xFA)
    case 0xF5, 0xF6:
      setDefaults()
      isScanning = byte == 0xF6
      replies.append(0xFA)
    case 0xF7...0xFA: replies.append(0xFA)
    case 0xFE: replies.append(lastSent)
    case 0xFF:
      setDefaults()
      isScanning = true
      replies = [0xFA, 0xAA]
    default: replies.append(0xFE)
    }
    bound()
  }

  private mutating func parameter(_ byte: UInt8, of command: UInt8) {
    switch command {
    case 0xED: lights = byte & 7
    case 0xF0:
      if byte > 2 {
        // Set 3 is what later keyboards left out, too.
        replies.append(0xFE)
        return bound()
      }
      if byte == 0 {
        replies += [0xFA, codeSet]
        return bound()
      }
      codeSet = byte
      codes = []
    default: break
    }
    replies.append(0xFA)
    bound()
  }

  private mutating func setDefaults() {
    (codes, backlog, codeSet, lights) = ([], [], 2, 0)
  }

  /// Nobody reads: the newest answers count.
  private mutating func bound() {
    if replies.count > 32 { replies.removeFirst(replies.count - 32) }
  }
}
