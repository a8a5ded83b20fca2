/// What a text mode shows: characters and attributes as they lie in planes 0 and 1.
public struct TextScreen: Equatable, Sendable {
  public let columns: Int
  public let rows: Int
  /// Row by row; character in the low byte, attribute in the high.
  public internal(set) var cells: [UInt16]
  /// nil: no cursor, or not on this screen.
  public internal(set) var cursor: Cursor?
  /// The display is switched off; the cells are there all the same.
  public internal(set) var isBlank = false
  /// Attribute bit 7 blinks, instead of brightening the background.
  public internal(set) var blinks = false

  public struct Cursor: Equatable, Sendable {
    public var row: Int
    public var column: Int
  }

  /// The lines, without the spaces at their ends.
  public var lines: [String] {
    (0..<rows).map { row in
      var codes = cells[row * columns..<(row + 1) * columns].map { UInt8(truncatingIfNeeded: $0) }
      while let last = codes.last, last == 0 || last == 0x20 || last == 0xFF { codes.removeLast() }
      return CodePage437.string(codes)
    }
  }
}

extension VGA {
  /// The screen, if it is in a text mode.
  public var textScreen: TextScreen? {
    guard !registers.isDispiEnabled, !registers.isGraphics else { return nil }
    let scan = ScanOut(registers)
    let (columns, rows) = (scan.characters, max((scan.height + scan.rowHeight - 1) / scan.rowHeight, 1))
    var screen = TextScreen(columns: columns, rows: rows, cells: [])
    screen.cells.reserveCapacity(columns * rows)
    let hasCursor = registers.isCursorOn
    for row in 0..<rows {
      let line = scan.line(row * scan.rowHeight)
      for column in 0..<columns {
        let address = line.address &+ column
        if hasCursor && address & 0xFFFF == registers.cursorAddress { screen.cursor = TextScreen.Cursor(row: row, column: column) }
        screen.cells.append(UInt16(truncatingIfNeeded: memory.word(scan.place(address, rowScan: 0))))
      }
    }
    screen.isBlank = registers.isBlank
    screen.blinks = registers.attribute[0x10] & 8 != 0
    return screen
  }

  /// The lines of a text mode's screen; none in a graphics mode.
  public func screenText() -> [String] { textScreen?.lines ?? [] }
}
