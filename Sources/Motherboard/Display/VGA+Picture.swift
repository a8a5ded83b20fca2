/// Which half of their blinking cursor and characters are in.
public struct BlinkPhase: Equatable, Sendable {
  public var showsCursor: Bool
  public var showsCharacters: Bool

  /// Everything is shown.
  public static let shown = BlinkPhase(showsCursor: true, showsCharacters: true)

  /// The cursor changes every 8 frames, characters every 16.
  public static func at(frame: UInt64) -> BlinkPhase {
    BlinkPhase(showsCursor: frame & 8 == 0, showsCharacters: frame & 16 == 0)
  }

  public init(showsCursor: Bool, showsCharacters: Bool) {
    self.showsCursor = showsCursor
    self.showsCharacters = showsCharacters
  }
}

extension VGA {
  /// What the monitor shows, borders left out: a pixel for each dot and scan line, so that doubled ones are double here too.
  public func picture(_ phase: BlinkPhase = .shown) -> Picture {
    if registers.isDispiEnabled { return dispiPicture() }
    let scan = ScanOut(registers)
    let isGraphics = registers.isGraphics
    let dots = isGraphics ? 8 : registers.dotsPerCharacter
    let stretch = registers.sequencer[1] & 8 != 0 ? 2 : 1
    let width = scan.characters * dots
    var picture = Picture(width: width * stretch, height: scan.height)
    guard !registers.isBlank else { return picture }
    let colours = registers.colours()
    // One character more than is seen, for panning.
    var line = [UInt8](repeating: 0, count: width + dots)
    let pan = panning(dots: dots)
    let painter = isGraphics ? nil : TextPainter(self, phase)
    picture.rgb.withUnsafeMutableBufferPointer { target in
      line.withUnsafeMutableBufferPointer { line in
        for y in 0..<scan.height {
          let place = scan.line(y)
          if let painter {
            painter.paint(place, scan, line)
          } else {
            paintGraphics(place, scan, line)
          }
          let first = place.isBelowSplit && registers.attribute[0x10] & 0x20 != 0 ? 0 : pan
          var to = y * width * stretch * 3
          for x in 0..<width * stretch {
            put(colours[Int(line[x / stretch + first])], target, &to)
          }
        }
      }
    }
    return picture
  }

  /// Dots by which the screen is moved to the left.
  private func panning(dots: Int) -> Int {
    let value = Int(registers.attribute[0x13])
    if dots == 9 { return value < 8 ? value + 1 : 0 }
    return registers.graphics[5] & 0x40 != 0 && registers.isGraphics ? value & 6 : value & 7
  }

  /// One line of a graphics mode, as indices of the palette.
  private func paintGraphics(_ line: ScanOut.Line, _ scan: ScanOut, _ target: UnsafeMutableBufferPointer<UInt8>) {
    let mode = registers.graphics[5]
    let palette = (0..<16).map { registers.paletteIndex($0) }
    for character in 0...scan.characters {
      let word = memory.word(scan.place(line.address &+ character, rowScan: line.rowScan))
      for dot in 0..<8 {
        let at = character * 8 + dot
        if mode & 0x40 != 0 {
          // Four bytes, a pixel of two dots each.
          target[at] = UInt8(truncatingIfNeeded: word >> UInt32(dot / 2 * 8))
        } else if mode & 0x20 != 0 {
          // As the CGA: two bits a pixel, four pixels of planes 0 and 2, then four of 1 and 3.
          let byte = word >> (dot < 4 ? 0 : 8)
          let shift = UInt32(6 - dot % 4 * 2)
          target[at] = palette[Int(byte >> shift & 3 | (byte >> (shift + 16) & 3) << 2)]
        } else {
          let bits = (word >> UInt32(7 - dot)) & 0x0101_0101
          target[at] = palette[Int((bits &* 0x0102_0408) >> 24 & 15)]
        }
      }
    }
  }

  // MARK: - The display interface's modes

  private func dispiPicture() -> Picture {
    let r = registers
    let (width, height) = (Int(r.dispi[Dispi.width]), Int(r.dispi[Dispi.height]))
    var picture = Picture(width: width, height: height)
    guard !r.isBlank else { return picture }
    let colours = r.colours()
    let palette = (0..<16).map { r.paletteIndex($0) }
    let step = r.dispiLineBytes
    picture.rgb.withUnsafeMutableBufferPointer { target in
      var to = 0
      for y in 0..<picture.height {
        let start = r.dispiStart + y * step
        switch r.dispi[Dispi.bitsPerPixel] {
        case 4:
          for x in 0..<picture.width {
            let bits = memory.word(start / 4 + x / 8) >> UInt32(7 - x % 8) & 0x0101_0101
            put(colours[Int(palette[Int((bits &* 0x0102_0408) >> 24 & 15)])], target, &to)
          }
        case 15, 16:
          let isGreen6 = r.dispi[Dispi.bitsPerPixel] == 16
          for x in 0..<picture.width {
            let pixel = UInt32(memory.byte(start + x * 2)) | UInt32(memory.byte(start + x * 2 + 1)) << 8
            let (red, green) = isGreen6 ? (pixel >> 11, pixel >> 5 & 63) : (pixel >> 10 & 31, pixel >> 5 & 31)
            let blue = pixel & 31
            let wide = isGreen6 ? green << 2 | green >> 4 : green << 3 | green >> 2
            put((red << 3 | red >> 2) | wide << 8 | (blue << 3 | blue >> 2) << 16, target, &to)
          }
        case 24, 32:
          let bytes = Int(r.dispi[Dispi.bitsPerPixel]) / 8
          for x in 0..<picture.width {
            let at = start + x * bytes
            put(UInt32(memory.byte(at + 2)) | UInt32(memory.byte(at + 1)) << 8 | UInt32(memory.byte(at)) << 16, target, &to)
          }
        default:
          for x in 0..<picture.width { put(colours[Int(memory.byte(start + x))], target, &to) }
        }
      }
    }
    return picture
  }

  @inline(__always) private func put(_ colour: UInt32, _ target: UnsafeMutableBufferPointer<UInt8>, _ to: inout Int) {
    target[to] = UInt8(truncatingIfNeeded: colour)
    target[to + 1] = UInt8(truncatingIfNeeded: colour >> 8)
    target[to + 2] = UInt8(truncatingIfNeeded: colour >> 16)
    to += 3
  }
}
