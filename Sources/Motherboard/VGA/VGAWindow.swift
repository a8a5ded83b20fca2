/// How the window at a0000 works: what the registers of sequencer, graphics controller and display interface come to, in the form that
/// an access needs.
struct VGAWindow {
  /// How an address becomes a place in memory.
  enum Addressing: UInt8 {
    /// Nobody answers.
    case closed
    /// Packed pixels of the display interface: bytes of memory in a row, from the bank.
    case linear
    /// An address is one of the planes' own.
    case planar
    /// The lowest bit chooses between planes 0 and 1, or 2 and 3: text.
    case oddEven
    /// The two lowest bits choose the plane: 256 colours.
    case chained
  }

  var reading = Addressing.closed
  var writing = Addressing.closed
  /// Of the first address that answers, from a0000.
  var start: UInt64 = 0
  var size: UInt64 = 0
  /// Where the window starts in memory: in bytes when it is linear, else in addresses of a plane.
  var bank = 0
  /// ff for each plane that is written.
  var planes: UInt32 = 0
  /// Write mode 0 without set/reset, rotation, function or bit mask: what is written is stored.
  var isPlain = false
  var writeMode: UInt8 = 0
  var rotation: UInt8 = 0
  var function: UInt8 = 0
  var bitMask: UInt32 = 0
  var setReset: UInt32 = 0
  var enableSetReset: UInt32 = 0
  var readPlane: UInt32 = 0
  var comparesColours = false
  var colourCompare: UInt32 = 0
  var colourCare: UInt32 = 0
  var latches: UInt32 = 0

  /// A byte ff for each bit of four.
  @inline(__always) static func spread(_ bits: UInt8) -> UInt32 {
    ((UInt32(bits & 15) &* 0x0020_4081) & 0x0101_0101) &* 0xFF
  }
}

extension VGA {
  /// Makes the window anew after registers changed that it is made of.
  func updateWindow() {
    let sequencer = registers.sequencer
    let graphics = registers.graphics
    var new = VGAWindow()
    new.latches = window.pointee.latches
    // Bit 1 of the miscellaneous output lets the processor at the memory.
    let isOpen = registers.miscellaneousOutput & 2 != 0
    if registers.isDispiEnabled {
      let isPlanar = registers.dispi[Dispi.bitsPerPixel] == 4
      new.reading = isPlanar ? .planar : .linear
      new.writing = new.reading
      (new.start, new.size) = (0, 0x10000)
      new.bank = Int(registers.dispi[Dispi.bank]) << 16
    } else {
      new.reading = sequencer[4] & 8 != 0 ? .chained : graphics[5] & 0x10 != 0 ? .oddEven : .planar
      new.writing = sequencer[4] & 8 != 0 ? .chained : sequencer[4] & 4 == 0 ? .oddEven : .planar
      switch graphics[6] >> 2 & 3 {
      case 0: (new.start, new.size) = (0, 0x20000)
      case 1: (new.start, new.size) = (0, 0x10000)
      case 2: (new.start, new.size) = (0x10000, 0x8000)
      default: (new.start, new.size) = (0x18000, 0x8000)
      }
    }
    if !isOpen { (new.reading, new.writing) = (.closed, .closed) }
    new.planes = VGAWindow.spread(sequencer[2])
    new.writeMode = graphics[5] & 3
    new.rotation = graphics[3] & 7
    new.function = graphics[3] >> 3
    new.bitMask = UInt32(graphics[8]) &* 0x0101_0101
    new.setReset = VGAWindow.spread(graphics[0])
    new.enableSetReset = VGAWindow.spread(graphics[1])
    new.isPlain = new.writeMode == 0 && graphics[1] == 0 && graphics[3] == 0 && graphics[8] == 0xFF
    new.readPlane = UInt32(graphics[4])
    new.comparesColours = graphics[5] & 8 != 0
    new.colourCompare = VGAWindow.spread(graphics[2])
    new.colourCare = VGAWindow.spread(graphics[7])
    window.pointee = new
  }

  // MARK: - Loads

  func readWindow(_ offset: UInt64, size: Int) -> UInt64 {
    let path = window
    let at = offset &- path.pointee.start
    if path.pointee.reading == .linear, at < path.pointee.size, UInt64(size) <= path.pointee.size &- at {
      return memory.readMemory(UInt64((path.pointee.bank &+ Int(at)) & (memory.byteCount - 1)), size: size)
    }
    var value: UInt64 = 0
    for index in 0..<size {
      value |= UInt64(readWindowByte(offset &+ UInt64(index))) << UInt64(index &* 8)
    }
    return value
  }

  @inline(__always) private func readWindowByte(_ offset: UInt64) -> UInt8 {
    let path = window
    let at = Int(truncatingIfNeeded: offset &- path.pointee.start)
    guard at >= 0, at < Int(path.pointee.size) else { return 0xFF }
    let address: Int
    var plane: UInt32
    switch path.pointee.reading {
    case .closed: return 0xFF
    case .linear: return memory.byte(path.pointee.bank &+ at)
    case .planar: (address, plane) = (at, path.pointee.readPlane)
    case .oddEven: (address, plane) = (at & ~1, path.pointee.readPlane & 2 | UInt32(at & 1))
    case .chained: (address, plane) = (at & ~3, UInt32(at & 3))
    }
    let word = memory.word(place(address))
    path.pointee.latches = word
    guard path.pointee.comparesColours && path.pointee.reading != .chained else { return UInt8(truncatingIfNeeded: word >> (plane &* 8)) }
    // A bit is 1 where all planes that are cared for have the colour.
    var different = (word ^ path.pointee.colourCompare) & path.pointee.colourCare
    different |= different >> 16
    plane = different | different >> 8
    return ~UInt8(truncatingIfNeeded: plane)
  }

  /// An address of the planes. The VGA has 64 KiB in each; the display interface's 16-colour modes reach further.
  @inline(__always) private func place(_ address: Int) -> Int { window.pointee.bank &+ (address & 0xFFFF) }

  // MARK: - Stores

  func writeWindow(_ offset: UInt64, size: Int, value: UInt64) {
    let path = window
    let at = offset &- path.pointee.start
    if path.pointee.writing == .linear, at < path.pointee.size, UInt64(size) <= path.pointee.size &- at {
      return memory.writeMemory(UInt64((path.pointee.bank &+ Int(at)) & (memory.byteCount - 1)), size: size, value: value)
    }
    for index in 0..<size {
      writeWindowByte(offset &+ UInt64(index), UInt8(truncatingIfNeeded: value >> UInt64(index &* 8)))
    }
  }

  @inline(__always) private func writeWindowByte(_ offset: UInt64, _ value: UInt8) {
    let path = window
    let at = Int(truncatingIfNeeded: offset &- path.pointee.start)
    guard at >= 0, at < Int(path.pointee.size) else { return }
    var planes = path.pointee.planes
    let address: Int
    switch path.pointee.writing {
    case .closed: return
    case .linear: return memory.writeMemory(UInt64((path.pointee.bank &+ at) & (memory.byteCount - 1)), size: 1, value: UInt64(value))
    case .planar: address = at
    case .oddEven:
      address = at & ~1
      planes &= at & 1 == 0 ? 0x00FF_00FF : 0xFF00_FF00
    case .chained:
      address = at & ~3
      planes &= 0xFF << UInt32((at & 3) &* 8)
    }
    let data = path.pointee.isPlain ? UInt32(value) &* 0x0101_0101 : process(value)
    let place = place(address)
    memory.setWord(place, memory.word(place) & ~planes | data & planes)
  }

  /// What the graphics controller makes of a byte for the four planes.
  private func process(_ value: UInt8) -> UInt32 {
    let path = window.pointee
    let rotated = value >> path.rotation | value << (8 &- path.rotation)
    var mask = path.bitMask
    var data: UInt32
    switch path.writeMode {
    case 0: data = (UInt32(rotated) &* 0x0101_0101) & ~path.enableSetReset | path.setReset & path.enableSetReset
    case 1: return path.latches
    case 2: data = VGAWindow.spread(value)
    default:
      data = path.setReset
      mask &= UInt32(rotated) &* 0x0101_0101
    }
    switch path.function {
    case 1: data &= path.latches
    case 2: data |= path.latches
    case 3: data ^= path.latches
    default: break
    }
    return data & mask | path.latches & ~mask
  }
}
