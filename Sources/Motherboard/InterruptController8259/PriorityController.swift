/// One 8259A (Intel 8259A data sheet, order number 231468): requests, masks, priorities, commands. The edge and level control
/// register is the 82371SB's.
struct PriorityController: Codable, Equatable {
  /// Input pins, bit n for IRn.
  private(set) var inputs: UInt8 = 0
  private(set) var requests: UInt8 = 0
  private(set) var inService: UInt8 = 0
  private(set) var mask: UInt8 = 0xFF
  /// Inputs that are level-triggered.
  var levels: UInt8 = 0 {
    didSet { followLevels() }
  }
  /// The input that a cascaded controller drives on the primary one, as a bit: its request follows the wire.
  private let cascade: UInt8
  /// ICW2's bits 7 to 3.
  private(set) var base: UInt8 = 0
  /// The initialization command word that is next, 2 to 4, or 0.
  private var nextWord: UInt8 = 0
  private var isSingle = false
  private var hasFourthWord = false
  private var endsByItself = false
  private var isFullyNested = false
  private var rotatesByItself = false
  private var isSpecialMask = false
  private var isPolled = false
  private var readsInService = false
  /// The input with the highest priority, 0 to 7.
  private var highest: UInt8 = 0

  init(cascade: UInt8) { self.cascade = cascade }

  // MARK: - Pins

  /// The inputs that hold their request only as long as they are high, with no edge.
  private var following: UInt8 { levels | cascade }

  private mutating func followLevels() { requests = requests & ~following | inputs & following }

  mutating func setInput(_ number: Int, _ level: Bool) {
    let bit: UInt8 = 1 << UInt8(truncatingIfNeeded: number & 7)
    if level {
      // An edge, or a level.
      if inputs & bit == 0 { requests |= bit }
      inputs |= bit
    } else {
      // A request that is taken back before it was acknowledged is none.
      inputs &= ~bit
      requests &= ~bit
    }
  }

  /// A system reset: like before initialization, with the inputs as they are.
  mutating func reset() {
    var fresh = PriorityController(cascade: cascade)
    fresh.inputs = inputs
    fresh.followLevels()
    self = fresh
  }

  // MARK: - Priority

  /// Bits turned so that bit 0 has the highest priority.
  private func turned(_ bits: UInt8) -> UInt8 { highest == 0 ? bits : bits >> highest | bits << (8 - highest) }

  /// Of these inputs the one with the highest priority.
  private func first(_ bits: UInt8) -> UInt8 { (UInt8(turned(bits).trailingZeroBitCount) &+ highest) & 7 }

  /// The request to be served now, or nil: none, or one of the same or higher priority is in service.
  var pending: UInt8? {
    let waiting = requests & ~mask
    guard waiting != 0 else { return nil }
    var blocking = inService
    if isSpecialMask { blocking &= ~mask }
    // The secondary controller's requests of higher priority pass in the special fully nested mode.
    if isFullyNested { blocking &= ~cascade }
    let candidate = turned(waiting).trailingZeroBitCount
    return candidate < turned(blocking).trailingZeroBitCount ? (UInt8(candidate) &+ highest) & 7 : nil
  }

  /// INTA for the request that is pending; nil if there is none any more (the answer is then IR7's vector, with nothing in service).
  mutating func acknowledge() -> UInt8? {
    guard let number = pending else { return nil }
    let bit: UInt8 = 1 << number
    requests &= ~bit | inputs & following
    if endsByItself {
      if rotatesByItself { highest = (number &+ 1) & 7 }
    } else {
      inService |= bit
    }
    return number
  }

  // MARK: - Access

  mutating func write(isData: Bool, _ value: UInt8) {
    if isData { return writeData(value) }
    if value & 0x10 != 0 {
      // ICW1: what was asked for by edges is forgotten; an input that is high must fall first.
      requests = 0
      followLevels()
      (mask, inService, highest) = (0, 0, 0)
      (isSpecialMask, isPolled, readsInService, rotatesByItself, endsByItself, isFullyNested) = (false, false, false, false, false, false)
      isSingle = value & 2 != 0
      hasFourthWord = value & 1 != 0
      nextWord = 2
    } else if value & 8 != 0 {
      // OCW3.
      if value & 2 != 0 { readsInService = value & 1 != 0 }
      if value & 0x40 != 0 { isSpecialMask = value & 0x20 != 0 }
      isPolled = value & 4 != 0
    } else {
      operate(value >> 5, value & 7)
    }
  }

  private mutating func writeData(_ value: UInt8) {
    switch nextWord {
    case 2:
      base = value & 0xF8
      nextWord = isSingle ? (hasFourthWord ? 4 : 0) : 3
    case 3: nextWord = hasFourthWord ? 4 : 0
    case 4:
      endsByItself = value & 2 != 0
      isFullyNested = value & 0x10 != 0
      nextWord = 0
    default: mask = value
    }
  }

  /// OCW2: ends of interrupt and rotation.
  private mutating func operate(_ command: UInt8, _ number: UInt8) {
    switch command {
    case 0: rotatesByItself = false
    case 4: rotatesByItself = true
    case 1, 5:
      let served = isSpecialMask ? inService & ~mask : inService
      guard served != 0 else { return }
      let ended = first(served)
      inService &= ~(1 << ended)
      if command == 5 { highest = (ended &+ 1) & 7 }
    case 3: inService &= ~(1 << number)
    case 6: highest = (number &+ 1) & 7
    case 7:
      inService &= ~(1 << number)
      highest = (number &+ 1) & 7
    default: break
    }
  }

  mutating func read(isData: Bool) -> UInt8 {
    if isPolled {
      isPolled = false
      return acknowledge().map { 0x80 | $0 } ?? 0
    }
    return isData ? mask : readsInService ? inService : requests
  }
}
