/// The CRTC's way through memory, of the registers: which address each scan line starts at, and where an address is in the planes
/// (IBM PS/2 Hardware Interface Technical Reference, "CRT controller registers").
struct ScanOut {
  /// Characters, of 8 or 9 dots, in a line.
  let characters: Int
  /// Scan lines.
  let height: Int
  /// Scan lines of a row of characters, double scanning included.
  let rowHeight: Int
  private let isDoubled: Bool
  private let rowLines: Int
  private let start: Int
  private let firstRowScan: Int
  private let rowStep: Int
  private let split: Int
  private let mode: UInt8
  private let isDoubleWord: Bool

  struct Line {
    /// The address counter at the left.
    var address: Int
    /// The line of the characters' row, from 0.
    var rowScan: Int
    /// Below the split, where panning may stop.
    var isBelowSplit: Bool
  }

  init(_ r: VGARegisters) {
    characters = Int(r.crtc[1]) + 1
    height = r.verticalDisplayEnd + 1
    isDoubled = r.crtc[9] & 0x80 != 0
    rowLines = Int(r.crtc[9] & 31) + 1
    rowHeight = isDoubled ? rowLines * 2 : rowLines
    start = r.startAddress + Int(r.crtc[8] >> 5 & 3)
    firstRowScan = Int(r.crtc[8] & 31)
    rowStep = Int(r.crtc[0x13]) * 2
    split = r.lineCompare
    mode = r.crtc[0x17]
    isDoubleWord = r.crtc[0x14] & 0x40 != 0
  }

  func line(_ y: Int) -> Line {
    let isBelow = y > split
    var line = isBelow ? y - split - 1 : y
    if isDoubled { line /= 2 }
    if !isBelow { line += firstRowScan }
    return Line(address: (isBelow ? 0 : start) + line / rowLines * rowStep, rowScan: line % rowLines, isBelowSplit: isBelow)
  }

  /// The planes' address for an address counter: counted in bytes, words or double words, and with lines of a row in banks of their own
  /// as the CGA had them.
  @inline(__always) func place(_ address: Int, rowScan: Int) -> Int {
    var place = address & 0xFFFF
    if isDoubleWord {
      place = place << 2
    } else if mode & 0x40 == 0 {
      // The bit that leaves at the top enters at the bottom; below 256 KiB it is a lower one.
      place = place << 1 | (mode & 0x20 != 0 ? place >> 15 : place >> 13) & 1
    }
    if mode & 1 == 0 { place = place & ~0x2000 | (rowScan & 1) << 13 }
    if mode & 2 == 0 { place = place & ~0x4000 | (rowScan >> 1 & 1) << 14 }
    return place & 0xFFFF
  }
}

extension VGARegisters {
  /// The display is off: by the sequencer, or because software has the palette.
  var isBlank: Bool { sequencer[1] & 0x20 != 0 || attributeIndex & 0x20 == 0 }

  var isCursorOn: Bool { crtc[0x0A] & 0x20 == 0 && crtc[0x0A] & 31 <= crtc[0x0B] & 31 }

  /// The palette's index of a colour's four bits from the planes.
  func paletteIndex(_ bits: Int) -> UInt8 {
    var index = attribute[bits & Int(attribute[0x12]) & 15]
    if attribute[0x10] & 0x80 != 0 { index = index & 0x0F | attribute[0x14] << 4 & 0x30 }
    return index | attribute[0x14] << 4 & 0xC0
  }

  /// Red, green and blue of the palette's 256 colours, 8 bits each, as bits 0, 8 and 16; behind the pixel mask.
  func colours() -> [UInt32] {
    let is8Bits = dispi[Dispi.enable] & Dispi.palette8Bits != 0
    return (0..<256).map { index in
      let entry = index & Int(pixelMask)
      var colour: UInt32 = 0
      for component in 0..<3 {
        let value = palette[entry * 3 + component]
        colour |= UInt32(is8Bits ? value : value << 2 | value >> 4 & 3) << UInt32(component * 8)
      }
      return colour
    }
  }
}
