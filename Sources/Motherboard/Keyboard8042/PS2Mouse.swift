/// A PS/2 mouse with three buttons, and with wheel and five buttons for who knocks (IBM Personal System/2 Hardware Interface Technical
/// Reference, auxiliary device; Microsoft's IntelliMouse sequences of sample rates).
struct PS2Mouse: Codable, Equatable {
  private var replies: [UInt8] = []
  private var packet: [UInt8] = []
  private var isReporting = false
  private var isRemote = false
  private var isWrapping = false
  private var isScaled = false
  private var resolution: UInt8 = 2
  private var rate: UInt8 = 100
  /// The sample rates set last: 200, 100, 80 makes it a wheel mouse, 200, 200, 80 one with five buttons.
  private var rates: [UInt8] = [0, 0, 0]
  /// 0, 3 with a wheel, 4 with five buttons too.
  private var identifier: UInt8 = 0
  private var command: UInt8 = 0
  private var lastSent: UInt8 = 0
  /// Left, right, middle, fourth, fifth, from bit 0.
  private var buttons: UInt8 = 0
  private var hasNews = false
  /// Movement that is not reported yet; up is positive.
  private var x = 0
  private var y = 0
  private var z = 0

  var hasByte: Bool { !replies.isEmpty || !packet.isEmpty }

  mutating func next() -> UInt8? {
    guard hasByte else { return nil }
    if replies.isEmpty {
      lastSent = packet.removeFirst()
      if packet.isEmpty { report() }
    } else {
      lastSent = replies.removeFirst()
    }
    return lastSent
  }

  /// - Parameters:
  ///   - right, down, wheel: movement; a wheel turned towards the user is positive.
  mutating func move(right: Int, down: Int, wheel: Int, buttons: UInt8) {
    func sum(_ a: Int, _ b: Int) -> Int { min(max(a &+ min(max(b, -65536), 65536), -65536), 65536) }
    (x, y, z) = (sum(x, right), sum(y, 0 &- min(max(down, -65536), 65536)), sum(z, wheel))
    self.buttons = buttons & 0x1F
    hasNews = true
    report()
  }

  /// In stream mode what moved goes into the next packet; what does not fit follows.
  private mutating func report() {
    guard isReporting, !isRemote, !isWrapping, packet.isEmpty, hasNews else { return }
    packet = makePacket()
  }

  private mutating func makePacket() -> [UInt8] {
    func part(_ value: inout Int, _ range: ClosedRange<Int>) -> Int {
      let part = min(max(value, range.lowerBound), range.upperBound)
      value -= part
      return part
    }
    let (dx, dy) = (part(&x, -255...255), part(&y, -255...255))
    let first = buttons & 7 | 8 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)
    var bytes = [first, UInt8(truncatingIfNeeded: dx), UInt8(truncatingIfNeeded: dy)]
    if identifier == 0 {
      z = 0
    } else {
      let dz = UInt8(truncatingIfNeeded: part(&z, -8...7))
      bytes.append(identifier == 4 ? dz & 15 | (buttons & 0x18) << 1 : dz)
    }
    hasNews = x != 0 || y != 0 || z != 0
    return bytes
  }

  /// A byte from the controller.
  mutating func write(_ byte: UInt8) {
    let parameterized = command
    command = 0
    if isWrapping, byte != 0xEC, byte != 0xFF {
      replies.append(byte)
    } else if parameterized != 0 {
      parameter(byte, of: parameterized)
    } else {
      perform(byte)
    }
    if replies.count > 32 { replies.removeFirst(replies.count - 32) }
  }

  private mutating func parameter(_ byte: UInt8, of command: UInt8) {
    if command == 0xE8 {
      resolution = byte & 3
    } else {
      rate = byte
      rates = [rates[1], rates[2], byte]
      if rates == [200, 100, 80] { identifier = max(identifier, 3) }
      if rates == [200, 200, 80], identifier >= 3 { identifier = 4 }
    }
    replies.append(0xFA)
  }

  private mutating func perform(_ byte: UInt8) {
    // Whatever the command, the packet on its way ends.
    packet = []
    replies.append(0xFA)
    switch byte {
    case 0xE6: isScaled = false
    case 0xE7: isScaled = true
    case 0xE8, 0xF3: command = byte
    case 0xE9:
      let mode: UInt8 = (isRemote ? 0x40 : 0) | (isReporting ? 0x20 : 0) | (isScaled ? 0x10 : 0)
      let pressed = (buttons & 1) << 2 | (buttons & 4) >> 1 | (buttons & 2) >> 1
      replies += [mode | pressed, resolution, rate]
    case 0xEA: isRemote = false
    case 0xEB: replies += makePacket()
    case 0xEC: isWrapping = false
    case 0xEE: isWrapping = true
    case 0xF0: isRemote = true
    case 0xF2: replies.append(identifier)
    case 0xF4: isReporting = true
    case 0xF5: isReporting = false
    case 0xF6: setDefaults()
    case 0xFE: replies = [lastSent]
    case 0xFF:
      self = PS2Mouse()
      replies = [0xFA, 0xAA, 0x00]
    default: replies = [0xFE]
    }
  }

  private mutating func setDefaults() {
    (isReporting, isRemote, isScaled, resolution, rate) = (false, false, false, 2, 100)
    (x, y, z, hasNews) = (0, 0, 0, false)
  }
}
