import Devices

/// Gathers the bytes that a device sends to the host one by one, and hands them on in batches: when there are many, or a
/// millisecond of guest time after the first.
final class OutputBatch: EventHandler {
  private static let most = 4096
  private unowned let board: Board
  private let output: ([UInt8]) -> Void
  private var bytes: [UInt8] = []
  private var target: EventQueue.Target = 0
  private var isAppointed = false

  init(board: Board, output: @escaping ([UInt8]) -> Void) {
    self.board = board
    self.output = output
    target = board.register(self)
  }

  func append(_ byte: UInt8) {
    bytes.append(byte)
    if bytes.count >= Self.most { return flush() }
    guard !isAppointed else { return }
    isAppointed = true
    board.schedule(at: board.now &+ board.cycles(ofTicks: 1, at: 1000), target: target)
  }

  func flush() {
    guard !bytes.isEmpty else { return }
    let batch = bytes
    bytes.removeAll(keepingCapacity: true)
    output(batch)
  }

  func event(_ payload: UInt64, at cycle: Cycles) {
    isAppointed = false
    flush()
  }
}
