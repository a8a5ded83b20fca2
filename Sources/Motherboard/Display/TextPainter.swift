/// Paints lines of a text mode with the fonts in plane 2.
struct TextPainter {
  private let memory: VideoMemory
  private let phase: BlinkPhase
  private let dots: Int
  private let palette: [UInt8]
  /// Where the fonts for attribute bit 3 clear and set start in plane 2.
  private let fonts: (Int, Int)
  private let blinks: Bool
  private let extendsLines: Bool
  private let underline: Int
  /// The cursor's address, -1 for none, and its lines.
  private let cursor: Int
  private let cursorLines: ClosedRange<Int>

  init(_ vga: VGA, _ phase: BlinkPhase) {
    let r = vga.registers
    memory = vga.memory
    self.phase = phase
    dots = r.dotsPerCharacter
    palette = (0..<16).map { r.paletteIndex($0) }
    // Fonts are at multiples of 16 KiB, and 8 KiB behind those.
    let select = r.sequencer[3]
    let b = Int(select & 3) << 14 | Int(select & 0x10) << 9
    let a = Int(select >> 2 & 3) << 14 | Int(select & 0x20) << 8
    fonts = (b, a)
    blinks = r.attribute[0x10] & 8 != 0
    extendsLines = r.attribute[0x10] & 4 != 0
    underline = Int(r.crtc[0x14] & 31)
    cursor = r.isCursorOn && phase.showsCursor ? r.cursorAddress : -1
    cursorLines = Int(r.crtc[0x0A] & 31)...max(Int(r.crtc[0x0A] & 31), Int(r.crtc[0x0B] & 31))
  }

  /// One line, as indices of the palette.
  func paint(_ line: ScanOut.Line, _ scan: ScanOut, _ target: UnsafeMutableBufferPointer<UInt8>) {
    for column in 0...scan.characters {
      let address = line.address &+ column
      // Rows of a character never choose banks of memory in text.
      let word = memory.word(scan.place(address, rowScan: 0))
      let (code, attribute) = (Int(word & 0xFF), Int(word >> 8 & 0xFF))
      let font = attribute & 8 == 0 ? fonts.0 : fonts.1
      var pattern = UInt(UInt8(truncatingIfNeeded: memory.word(font + code * 32 + line.rowScan) >> 16)) << 1
      // The ninth dot repeats the eighth in the frames' characters.
      if extendsLines && code & 0xE0 == 0xC0 { pattern |= pattern >> 1 & 1 }
      if attribute & 0x77 == 1 && line.rowScan == underline { pattern = 0x1FF }
      if blinks && attribute & 0x80 != 0 && !phase.showsCharacters { pattern = 0 }
      if address & 0xFFFF == cursor && cursorLines.contains(line.rowScan) { pattern = 0x1FF }
      let front = palette[attribute & 15]
      let back = palette[attribute >> 4 & (blinks ? 7 : 15)]
      for dot in 0..<dots {
        target[column * dots + dot] = pattern >> UInt(8 - dot) & 1 != 0 ? front : back
      }
    }
  }
}
