import Devices

/// Types at the guest's keyboard what is typed at the host's terminal. An escape sequence that does not end within a twentieth of a guest
/// second is taken for the Escape key.
public final class TerminalTypist: EventHandler {
  private let board: Board
  private let press: ([UInt8]) -> Void
  private var keyboard = TerminalKeyboard()
  private var target: EventQueue.Target = 0
  private var pending: UInt64?

  /// - Parameter press: gets scan codes of set 1, on the vCPU's thread.
  public init(board: Board, press: @escaping ([UInt8]) -> Void) {
    self.board = board
    self.press = press
    target = board.register(self)
  }

  /// What the terminal sent.
  public func type(_ bytes: [UInt8]) {
    if let pending { board.cancel(pending) }
    pending = nil
    let codes = keyboard.translate(bytes)
    if !codes.isEmpty { press(codes) }
    if keyboard.isInSequence { pending = board.schedule(at: board.now &+ board.cyclesPerSecond / 20, target: target) }
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    pending = nil
    let codes = keyboard.flush()
    if !codes.isEmpty { press(codes) }
  }
}
