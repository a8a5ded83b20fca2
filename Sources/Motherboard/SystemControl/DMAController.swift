/// The registers of the two 8237A DMA controllers with their page registers (Intel 8237A data sheet, order number 231466; 82371SB
/// data sheet, section 2.5.1). No device of this board asks for ISA DMA, so nothing is ever transferred; software that looks finds
/// the controllers at rest.
struct DMAController: Codable, Equatable {
  /// Current address and count of the channels: controller, channel, address or count.
  private var counters = [UInt16](repeating: 0, count: 16)
  private var isHighByte = [false, false]
  private var masks: [UInt8] = [15, 15]
  private var pages = [UInt8](repeating: 0, count: 16)

  /// - Parameters:
  ///   - controller: 0 or 1.
  ///   - register: 0 to 15.
  mutating func read(_ controller: Int, _ register: Int) -> UInt8 {
    switch register & 15 {
    case 0..<8:
      let word = counters[(controller & 1) * 8 + (register & 7)]
      let isHigh = isHighByte[controller & 1]
      isHighByte[controller & 1].toggle()
      return UInt8(truncatingIfNeeded: isHigh ? word >> 8 : word)
    // Status (nothing asked for, nothing done), and the temporary register.
    case 8, 13: return 0
    case 15: return masks[controller & 1] | 0xF0
    default: return 0xFF
    }
  }

  mutating func write(_ controller: Int, _ register: Int, _ byte: UInt8) {
    let bit: UInt8 = 1 << (byte & 3)
    switch register & 15 {
    case 0..<8:
      let index = (controller & 1) * 8 + (register & 7)
      let isHigh = isHighByte[controller & 1]
      isHighByte[controller & 1].toggle()
      counters[index] = isHigh ? counters[index] & 0xFF | UInt16(byte) << 8 : counters[index] & 0xFF00 | UInt16(byte)
    case 10: if byte & 4 != 0 { masks[controller & 1] |= bit } else { masks[controller & 1] &= ~bit }
    case 12: isHighByte[controller & 1] = false
    case 13:
      isHighByte[controller & 1] = false
      masks[controller & 1] = 15
    case 14: masks[controller & 1] = 0
    case 15: masks[controller & 1] = byte & 15
    // Command, request and mode have nothing to act on.
    default: break
    }
  }

  func page(_ index: Int) -> UInt8 { pages[index & 15] }
  mutating func setPage(_ index: Int, _ byte: UInt8) { pages[index & 15] = byte }
}
