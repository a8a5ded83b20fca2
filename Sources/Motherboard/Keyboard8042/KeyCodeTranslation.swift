/// Scan code set 2 to set 1, as the keyboard controller translates (IBM Personal System/2 Hardware Interface Technical Reference,
/// keyboard and auxiliary device controller), and back.
enum KeyCodeTranslation {
  /// Set 1 by set 2 code, 0 to 7f.
  private static let text = """
    ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59
    65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b
    67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d
    69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f
    6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61
    6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76
    55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f
    52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54
    """

  private static let toSet1: [UInt8] = {
    var codes = text.split { $0 == " " || $0 == "\n" }.compactMap { UInt8($0, radix: 16) } + (0x80...0xFF)
    // F7 and System Request were added behind the table.
    codes[0x83] = 0x41
    codes[0x84] = 0x54
    return codes
  }()

  private static let toSet2: [UInt8] = {
    var codes = [UInt8](repeating: 0, count: 128)
    for code in (0..<0x85).reversed() where toSet1[code] < 0x80 { codes[Int(toSet1[code])] = UInt8(code) }
    codes[0x41] = 0x83
    codes[0x54] = 0x84
    return codes
  }()

  /// A byte from the keyboard as the controller passes it on; what is no code stays as it is.
  static func set1(_ byte: UInt8) -> UInt8 { toSet1[Int(byte)] }

  /// The make code of set 2 for one of set 1, 1 to 7f; 0: there is none.
  static func set2(_ code: UInt8) -> UInt8 { toSet2[Int(code & 0x7F)] }
}
