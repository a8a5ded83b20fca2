/// Scan codes of a PC keyboard, set 1 (IBM Personal Computer AT Technical Reference, keyboard section; set 1 is what the keyboard
/// controller gives when it translates).
public enum ScanCodes {
  /// Name and code of each key; e0 in the high byte for the keys that the enhanced keyboard added. The names are those that QEMU's
  /// monitor uses.
  private static let table = """
    esc 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 a 0 b minus c equal d backspace e tab f
    q 10 w 11 e 12 r 13 t 14 y 15 u 16 i 17 o 18 p 19 bracket_left 1a bracket_right 1b ret 1c ctrl 1d
    a 1e s 1f d 20 f 21 g 22 h 23 j 24 k 25 l 26 semicolon 27 apostrophe 28 grave_accent 29 shift 2a backslash 2b
    z 2c x 2d c 2e v 2f b 30 n 31 m 32 comma 33 dot 34 slash 35 shift_r 36 kp_multiply 37 alt 38 spc 39 caps_lock 3a
    f1 3b f2 3c f3 3d f4 3e f5 3f f6 40 f7 41 f8 42 f9 43 f10 44 num_lock 45 scroll_lock 46
    kp_7 47 kp_8 48 kp_9 49 kp_subtract 4a kp_4 4b kp_5 4c kp_6 4d kp_add 4e kp_1 4f kp_2 50 kp_3 51 kp_0 52 kp_decimal 53
    less 56 f11 57 f12 58
    kp_enter e01c ctrl_r e01d kp_divide e035 print e037 alt_r e038 home e047 up e048 pgup e049 left e04b right e04d end e04f
    down e050 pgdn e051 insert e052 delete e053 meta_l e05b meta_r e05c menu e05d
    """

  private static let codes: [String: UInt16] = {
    let words = table.split { $0 == " " || $0 == "\n" }.map(String.init)
    var codes: [String: UInt16] = [:]
    for index in stride(from: 0, to: words.count - 1, by: 2) { codes[words[index]] = UInt16(words[index + 1], radix: 16) }
    return codes
  }()

  /// The code of a key by its name; nil: there is none.
  public static func code(_ name: String) -> UInt16? { codes[name] }

  static func make(_ code: UInt16) -> [UInt8] {
    let low = UInt8(truncatingIfNeeded: code)
    return code > 0xFF ? [0xE0, low] : [low]
  }

  static func release(_ code: UInt16) -> [UInt8] {
    let low = UInt8(truncatingIfNeeded: code) | 0x80
    return code > 0xFF ? [0xE0, low] : [low]
  }

  /// Keys pressed one after the other, held, and released in the opposite order.
  static func chord(_ keys: [UInt16]) -> [UInt8] { keys.flatMap(make) + keys.reversed().flatMap(release) }

  /// The same for keys by name, as in `ctrl-alt-delete`; nil if one is no key.
  public static func chord(_ names: [String]) -> [UInt8]? {
    var keys: [UInt16] = []
    for name in names {
      guard let code = codes[name] else { return nil }
      keys.append(code)
    }
    return chord(keys)
  }
}
