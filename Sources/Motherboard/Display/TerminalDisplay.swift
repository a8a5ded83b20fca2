import Devices

/// Shows a text mode on the host's terminal: UTF-8 and the escape sequences of ECMA-48 that every terminal knows. Only what changed is
/// written, at most so many times in a guest second, and nothing happens while nothing changes.
public final class TerminalDisplay: EventHandler {
  private let vga: VGA
  private let board: Board
  private let interval: Cycles
  private let write: ([UInt8]) -> Void
  private var target: EventQueue.Target = 0
  private var pending: UInt64?
  /// What the terminal shows; nil: nobody knows.
  private var shown: TextScreen?
  private var note = ""
  private var isRunning = false

  /// - Parameters:
  ///   - framesPerSecond: how often in a guest second it may write.
  ///   - write: gets the bytes for the terminal, on the vCPU's thread.
  public init(vga: VGA, framesPerSecond: UInt64 = 30, write: @escaping ([UInt8]) -> Void) {
    self.vga = vga
    board = vga.board
    interval = max(vga.board.cyclesPerSecond / max(framesPerSecond, 1), 1)
    self.write = write
    target = board.register(self)
    vga.memory.changed = { [weak self] in self?.changed() }
  }

  /// Takes the terminal: its other screen, without wrapping at the right.
  public func start() {
    isRunning = true
    write(Array("\u{1B}[?1049h\u{1B}[?7l".utf8))
    redraw()
  }

  /// Gives the terminal back as it was.
  public func stop() {
    guard isRunning else { return }
    isRunning = false
    if let pending { board.cancel(pending) }
    pending = nil
    write(Array("\u{1B}[0m\u{1B}[?25h\u{1B}[?7h\u{1B}[?1049l".utf8))
  }

  /// Draws everything anew: the terminal lost it, or the machine's state was put back.
  public func redraw() {
    shown = nil
    note = ""
    draw()
  }

  private func changed() {
    guard isRunning, pending == nil else { return }
    pending = board.schedule(at: board.now &+ interval, target: target)
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    pending = nil
    draw()
  }

  private func draw() {
    guard isRunning else { return }
    var output: [UInt8] = []
    if let screen = vga.textScreen {
      TerminalPainter.paint(screen, over: note.isEmpty ? shown : nil, into: &output)
      shown = screen
      note = ""
    } else {
      let size = vga.graphicsSize
      let text = "Graphics, \(size.width) by \(size.height): a terminal cannot show it; a screen dump can."
      if text != note { output += Array("\u{1B}[0m\u{1B}[2J\u{1B}[H\u{1B}[?25l\(text)".utf8) }
      note = text
      shown = nil
    }
    if !output.isEmpty { write(output) }
    vga.memory.watch()
  }
}

extension VGA {
  /// Dots and lines of a graphics mode.
  var graphicsSize: (width: Int, height: Int) {
    if registers.isDispiEnabled { return (Int(registers.dispi[Dispi.width]), Int(registers.dispi[Dispi.height])) }
    let scan = ScanOut(registers)
    return (scan.characters * 8 * (registers.sequencer[1] & 8 != 0 ? 2 : 1), scan.height)
  }
}

/// What to write to a terminal that shows one screen, for it to show another.
enum TerminalPainter {
  /// - Parameter old: what the terminal shows; nil: unknown.
  static func paint(_ screen: TextScreen, over old: TextScreen?, into output: inout [UInt8]) {
    var old = old
    if old?.columns != screen.columns || old?.rows != screen.rows {
      old = nil
      output += Array("\u{1B}[0m\u{1B}[2J".utf8)
    }
    var attribute: UInt8?
    // Where the terminal's cursor is, as far as it is known.
    var place = -1
    let before = output.count
    for row in 0..<screen.rows {
      for column in 0..<screen.columns {
        let index = row * screen.columns + column
        let cell = self.cell(screen, index)
        if let old, self.cell(old, index) == cell, old.blinks == screen.blinks { continue }
        if place != index || column == 0 { move(row, column, &output) }
        let wanted = UInt8(truncatingIfNeeded: cell >> 8)
        if attribute != wanted { output += colours(wanted, blinks: screen.blinks) }
        attribute = wanted
        output += CodePage437.utf8[Int(cell & 0xFF)]
        place = index + 1
      }
    }
    let cursor = screen.isBlank ? nil : screen.cursor
    let oldCursor = old.map { $0.isBlank ? nil : $0.cursor }
    if attribute != nil { output += Array("\u{1B}[0m".utf8) }
    guard output.count != before || oldCursor != .some(cursor) else { return }
    if let cursor { move(cursor.row, cursor.column, &output) }
    if oldCursor == nil || (oldCursor != .some(cursor) && (cursor == nil || oldCursor == .some(nil))) {
      output += Array((cursor == nil ? "\u{1B}[?25l" : "\u{1B}[?25h").utf8)
    }
  }

  /// A dark screen is black spaces.
  private static func cell(_ screen: TextScreen, _ index: Int) -> UInt16 { screen.isBlank ? 0x0020 : screen.cells[index] }

  private static func move(_ row: Int, _ column: Int, _ output: inout [UInt8]) {
    output += Array("\u{1B}[\(row + 1);\(column + 1)H".utf8)
  }

  /// Blue is the PC's lowest bit of a colour, red the terminal's.
  private static func swap(_ colour: UInt8) -> UInt8 { colour & 2 | colour >> 2 & 1 | colour << 2 & 4 }

  private static func colours(_ attribute: UInt8, blinks: Bool) -> [UInt8] {
    let front = swap(attribute) + (attribute & 8 != 0 ? 90 : 30)
    let isBright = attribute & 0x80 != 0
    let back = swap(attribute >> 4) + (isBright && !blinks ? 100 : 40)
    return Array("\u{1B}[0;\(isBright && blinks ? "5;" : "")\(front);\(back)m".utf8)
  }
}
