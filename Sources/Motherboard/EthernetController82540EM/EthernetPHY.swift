/// The transceiver (Marvell 88E1011) behind MDIC, at address 1: its registers, and a link that comes up after negotiation.
struct EthernetPHY: Codable, Equatable {
  private var registers: [UInt16]
  /// The cable is plugged in at both ends and negotiation is over.
  var isLinkUp: Bool

  init(isLinkUp: Bool) {
    registers = Array(repeating: 0, count: 32)
    self.isLinkUp = isLinkUp
    reset()
  }

  mutating func reset() {
    registers = Array(repeating: 0, count: 32)
    // Control: negotiation, 1000 Mb/s, full duplex.
    registers[0] = 0x1140
    registers[2] = 0x0141
    registers[3] = 0x0C20
    registers[4] = 0x0DE1
    registers[5] = 0x01E0
    registers[9] = 0x0E00
    registers[10] = 0x3C00
    registers[16] = 0x0360
    registers[20] = 0x0D60
  }

  func read(_ number: Int) -> UInt16 {
    switch number {
    // Status: link is bit 2, negotiation complete bit 5.
    case 1: isLinkUp ? 0x796D : 0x7949
    // Specific status: 1000 Mb/s, full duplex, resolved, link.
    case 17: isLinkUp ? 0xAC08 | 0x0400 : 0x8000
    default: registers.indices.contains(number) ? registers[number] : 0
    }
  }

  /// Whether the write makes the two ends negotiate anew.
  mutating func write(_ number: Int, _ value: UInt16) -> Bool {
    switch number {
    case 0:
      if value & 0x8000 != 0 {
        reset()
        return true
      }
      registers[0] = value & ~0x8200
      return value & 0x1200 == 0x1200
    case 4, 7, 9, 16, 18, 20, 22, 24, 26, 29, 30: registers[number] = value
    default: break
    }
    return false
  }
}
