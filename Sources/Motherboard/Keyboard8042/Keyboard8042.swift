import Devices

/// The keyboard controller at ports 60 and 64 with a keyboard and a mouse (Intel UPI-41AH/42AH data sheet, order number 210393; IBM
/// Personal System/2 Hardware Interface Technical Reference, keyboard and auxiliary device controller).
///
/// What the controller says itself is there at once. A byte of a device's comes a moment after the last one was read, so that a
/// program that reads twice reads the same byte twice, as on the wire; keys that wait come one by one, as from fingers, because a
/// BIOS remembers 15.
public final class Keyboard8042: BoardDevice, PortHandler, EventHandler {
  /// A device's bytes a second, and keys a second.
  private static let byteRate: UInt64 = 10_000, keyRate: UInt64 = 250

  enum Source: UInt8, Codable { case controller, keyboard, mouse }

  public struct State: Codable, Equatable {
    /// The command byte: interrupts, system flag, disabled devices, translation.
    var mode: UInt8 = 0
    /// The controller's other RAM, 1 to 1f.
    var memory = [UInt8](repeating: 0, count: 32)
    var output: UInt8 = 0
    var isOutputFull = false
    var source = Source.controller
    /// The last write was to port 64.
    var isCommand = true
    /// The self-test was passed.
    var isTested = false
    /// The command whose parameter is next, or 0.
    var command: UInt8 = 0
    /// Answers that wait for the output buffer.
    var answers: [UInt8] = []
    /// The keyboard's F0 was seen: the next code is of a key let go.
    var isRelease = false
    var keyboard = PS2Keyboard()
    var mouse = PS2Mouse()
    var transfer = Appointment()
    var key = Appointment()
  }

  private enum Mode {
    static let keyboardInterrupt: UInt8 = 1, mouseInterrupt: UInt8 = 2, isKeyboardOff: UInt8 = 0x10, isMouseOff: UInt8 = 0x20
    static let translates: UInt8 = 0x40
  }

  public let name = "keyboard"
  private var registers = State()
  private unowned let board: Board
  private let keyboardLine: InterruptLine
  private let mouseLine: InterruptLine
  private let control: SystemControl
  private var target: EventQueue.Target = 0

  /// - Parameters:
  ///   - keyboardLine: IRQ 1.
  ///   - mouseLine: IRQ 12.
  ///   - control: has the A20 gate.
  public init(board: Board, keyboardLine: InterruptLine, mouseLine: InterruptLine, control: SystemControl) {
    self.board = board
    self.keyboardLine = keyboardLine
    self.mouseLine = mouseLine
    self.control = control
    target = board.register(self)
    board.claimPorts(0x60...0x60, width: 1, by: self)
    board.claimPorts(0x64...0x64, width: 1, by: self)
  }

  public var state: State {
    get { registers }
    set {
      guard newValue.memory.count == 32 else { return }
      registers = newValue
      updateLines()
    }
  }

  public func reset() {
    registers.transfer.move(to: nil, on: board, target: target)
    registers.key.move(to: nil, on: board, target: target)
    registers = State()
    updateLines()
  }

  // MARK: - Input from the host

  /// Keys as bytes of scan code set 1: make codes, break codes with bit 7, e0 before those of the enhanced keyboard. They are lost
  /// while the guest has switched the keyboard off, as a keyboard's are.
  public func receive(scanCodes: [UInt8]) {
    registers.keyboard.press(scanCodes)
    pump()
  }

  /// - Parameter code: of set 1, e0 in the high byte for keys of the enhanced keyboard; as `ScanCodes.code(_:)` has it by name.
  public func keyDown(_ code: UInt16) { receive(scanCodes: ScanCodes.make(code)) }
  public func keyUp(_ code: UInt16) { receive(scanCodes: ScanCodes.release(code)) }

  /// Text as if typed on a US keyboard.
  public func type(_ text: String) {
    var terminal = TerminalKeyboard()
    receive(scanCodes: terminal.translate(text.utf8) + terminal.flush())
  }

  /// - Parameters:
  ///   - right, down: movement since the last call, in counts.
  ///   - wheel: steps, towards the user positive.
  ///   - buttons: those that are pressed: bit 0 left, 1 right, 2 middle, 3 and 4 the fourth and fifth.
  public func mouse(right: Int, down: Int, wheel: Int = 0, buttons: UInt8) {
    registers.mouse.move(right: right, down: down, wheel: wheel, buttons: buttons)
    pump()
  }

  /// Scroll, Num and Caps Lock as the guest lit them, bits 0 to 2.
  public var lights: UInt8 { registers.keyboard.lights }

  // MARK: - The output buffer

  private func updateLines() {
    let isFull = registers.isOutputFull
    keyboardLine.set(isFull && registers.source != .mouse && registers.mode & Mode.keyboardInterrupt != 0)
    mouseLine.set(isFull && registers.source == .mouse && registers.mode & Mode.mouseInterrupt != 0)
  }

  private func fill(_ byte: UInt8, from source: Source) {
    (registers.output, registers.source, registers.isOutputFull) = (byte, source, true)
    updateLines()
  }

  private func answer(_ byte: UInt8) {
    if registers.answers.count < 16 { registers.answers.append(byte) }
    pump()
  }

  private var canKeyboardSend: Bool { registers.mode & Mode.isKeyboardOff == 0 }
  private var canMouseSend: Bool { registers.mode & Mode.isMouseOff == 0 }

  /// Fills the output buffer, or sees to it that it will be.
  private func pump() {
    if canKeyboardSend, registers.keyboard.canSendKey, !registers.key.isMade {
      registers.keyboard.nextKey()
      let due = board.now &+ board.cycles(ofTicks: 1, at: Self.keyRate)
      registers.key.move(to: due, on: board, target: target, payload: 1)
    }
    guard !registers.isOutputFull else { return }
    if !registers.answers.isEmpty { return fill(registers.answers.removeFirst(), from: .controller) }
    guard canKeyboardSend && registers.keyboard.hasByte || canMouseSend && registers.mouse.hasByte, !registers.transfer.isMade else {
      return
    }
    let due = board.now &+ board.cycles(ofTicks: 1, at: Self.byteRate)
    registers.transfer.move(to: due, on: board, target: target)
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    if payload == 1 {
      registers.key.kept()
    } else {
      registers.transfer.kept()
      if !registers.isOutputFull { transfer() }
    }
    pump()
  }

  /// A device's byte arrives.
  private func transfer() {
    while canKeyboardSend, let byte = registers.keyboard.next() {
      guard registers.mode & Mode.translates != 0 else { return fill(byte, from: .keyboard) }
      if byte == 0xF0 {
        registers.isRelease = true
        continue
      }
      let code = KeyCodeTranslation.set1(byte)
      let isRelease = registers.isRelease && byte < 0xE0
      if byte < 0xE0 { registers.isRelease = false }
      return fill(isRelease ? code | 0x80 : code, from: .keyboard)
    }
    if canMouseSend, let byte = registers.mouse.next() { fill(byte, from: .mouse) }
  }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    if port == 0x64 {
      let isMouse = registers.isOutputFull && registers.source == .mouse
      let status: UInt8 =
        0x10 | (registers.isOutputFull ? 1 : 0) | (registers.isTested ? 4 : 0) | (registers.isCommand ? 8 : 0) | (isMouse ? 0x20 : 0)
      return UInt32(status)
    }
    let byte = registers.output
    if registers.isOutputFull {
      registers.isOutputFull = false
      updateLines()
      pump()
    }
    return UInt32(byte)
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let byte = UInt8(truncatingIfNeeded: value)
    registers.isCommand = port == 0x64
    if port == 0x64 {
      registers.command = 0
      perform(byte)
    } else {
      let command = registers.command
      registers.command = 0
      writeData(byte, of: command)
    }
    pump()
  }

  private func perform(_ byte: UInt8) {
    switch byte {
    case 0x20: answer(registers.mode)
    case 0x21...0x3F: answer(registers.memory[Int(byte & 31)])
    case 0x60...0x7F, 0xD1...0xD4: registers.command = byte
    case 0xA4: answer(0xF1)
    case 0xA7: setMode(registers.mode | Mode.isMouseOff)
    case 0xA8: setMode(registers.mode & ~Mode.isMouseOff)
    // Both interfaces pass their tests.
    case 0xA9, 0xAB: answer(0)
    case 0xAA:
      registers.isTested = true
      answer(0x55)
    case 0xAD: setMode(registers.mode | Mode.isKeyboardOff)
    case 0xAE: setMode(registers.mode & ~Mode.isKeyboardOff)
    // The input port: the keyboard is not locked.
    case 0xC0: answer(0x80)
    case 0xD0: answer(outputPort)
    case 0xDD: control.setAddressLine20(false)
    case 0xDF: control.setAddressLine20(true)
    case 0xE0: answer(0)
    // Pulses of the output port's low bits; bit 0 is the processor's reset.
    case 0xF0...0xFF: if byte & 1 == 0 { board.outside.reset() }
    default: break
    }
  }

  /// Reset, A20, the two interrupts, and the keyboard's wires.
  private var outputPort: UInt8 {
    let isMouse = registers.source == .mouse
    let full: UInt8 = registers.isOutputFull ? (isMouse ? 0x20 : 0x10) : 0
    return 0xC1 | (control.isAddressLine20Open ? 2 : 0) | full
  }

  private func setMode(_ mode: UInt8) {
    registers.mode = mode
    updateLines()
  }

  private func writeData(_ byte: UInt8, of command: UInt8) {
    switch command {
    case 0x60: setMode(byte)
    case 0x61...0x7F: registers.memory[Int(command & 31)] = byte
    case 0xD1:
      control.setAddressLine20(byte & 2 != 0)
      if byte & 1 == 0 { board.outside.reset() }
    case 0xD2: fill(byte, from: .keyboard)
    case 0xD3: fill(byte, from: .mouse)
    case 0xD4:
      registers.mode &= ~Mode.isMouseOff
      registers.mouse.write(byte)
    default:
      // Whoever talks to the keyboard wants to hear it.
      registers.mode &= ~Mode.isKeyboardOff
      registers.keyboard.write(byte)
    }
  }
}
