/// The 64 words beside the controller: a 93C46 on four wires (microwire). It reads; nobody writes it here.
///
/// A command is a start bit, two bits of opcode (10: read) and six of address, each taken when the clock rises while the chip is
/// selected; then the word comes out, its highest bit first, and the words behind it.
struct SerialEEPROM: Codable, Equatable {
  /// Clock, chip select, data in as last driven (EECD bits 0-2), and the request for access (bit 6).
  private(set) var wires: UInt32 = 0
  private var dataOut = true
  /// Bits of the command so far, with the start bit; 0: none.
  private var command: UInt16 = 0
  /// The bit of the memory that comes out next; nil: no read is under way.
  private var position: Int?

  static let clock: UInt32 = 1
  static let select: UInt32 = 2
  static let dataIn: UInt32 = 4
  static let request: UInt32 = 0x40

  /// EECD as read: what is driven, data out (bit 3), access granted (7), chip present (8).
  var register: UInt32 { wires | (dataOut ? 8 : 0) | 0x180 }

  mutating func drive(_ value: UInt32, words: [UInt16]) {
    let before = wires
    wires = value & (Self.clock | Self.select | Self.dataIn | Self.request)
    guard wires & Self.select != 0 else {
      command = 0
      position = nil
      dataOut = true
      return
    }
    guard before & Self.clock == 0, wires & Self.clock != 0 else { return }
    if let bit = position {
      let word = words.isEmpty ? 0xFFFF : words[bit >> 4 & (words.count - 1)]
      dataOut = word >> UInt16(15 - bit & 15) & 1 != 0
      position = (bit + 1) & (64 * 16 - 1)
      return
    }
    let bit: UInt16 = wires & Self.dataIn != 0 ? 1 : 0
    guard command != 0 || bit == 1 else { return }
    command = command << 1 | bit
    guard command >= 1 << 8 else { return }
    if command >> 6 == 0b110 {
      position = Int(command & 0x3F) * 16
      // A zero goes ahead of the word.
      dataOut = false
    }
    command = 0
  }

  /// The words for a card: address, identifiers, what the controller loads, and a sum of BABA.
  static func words(mac: [UInt8]) -> [UInt16] {
    var words = [UInt16](repeating: 0xFFFF, count: 64)
    for index in 0..<3 {
      let at = index * 2
      words[index] = at + 1 < mac.count ? UInt16(mac[at]) | UInt16(mac[at + 1]) << 8 : 0
    }
    words[3] = 0
    // Part number.
    words[8] = 0
    words[9] = 0
    // Initialization control 1, subsystem, vendor and device, initialization control 2, and no wake-up.
    words[0x0A] = 0x4403
    words[0x0B] = 0x1100
    words[0x0C] = 0x1AF4
    words[0x0D] = 0x100E
    words[0x0E] = 0x8086
    words[0x0F] = 0x3040
    words[0x24] = 0
    words[0x3F] = 0xBABA &- words[..<0x3F].reduce(0, &+)
    return words
  }
}
