@testable import Motherboard

/// The interrupt controllers on a board, with what they tell the processor.
final class InterruptRig {
  let test: TestBoard
  let system: InterruptSystem
  final class Processor {
    var levels: [Bool] = []
    var nonMaskable = 0
  }
  let processor = Processor()
  static let local: UInt64 = 0xFEE0_0000
  static let io: UInt64 = 0xFEC0_0000

  init(_ configuration: LocalAPIC.Configuration = .init()) throws {
    test = try TestBoard()
    system = InterruptSystem(board: test.board, configuration: configuration)
    system.outputChanged = { [processor] in processor.levels.append($0) }
    system.nonMaskable = { [processor] in processor.nonMaskable += 1 }
  }

  func read(_ offset: UInt64) -> UInt64 { test.board.readMemory(Self.local + offset, size: 4) }
  func write(_ offset: UInt64, _ value: UInt64) { test.board.writeMemory(Self.local + offset, size: 4, value: value) }
  func out(_ port: UInt16, _ value: UInt32) { test.board.writePort(port, size: 1, value: value) }

  /// Switched on by software, logical destination 1.
  func enable() {
    write(0xF0, 0x1FF)
    write(0xD0, 0x0100_0000)
  }

  func readEntry(_ pin: UInt64) -> UInt64 {
    readIO(0x10 + pin * 2) | readIO(0x11 + pin * 2) << 32
  }
  func readIO(_ index: UInt64) -> UInt64 {
    test.board.writeMemory(Self.io, size: 4, value: index)
    return test.board.readMemory(Self.io + 0x10, size: 4)
  }
  func writeIO(_ index: UInt64, _ value: UInt64) {
    test.board.writeMemory(Self.io, size: 4, value: index)
    test.board.writeMemory(Self.io + 0x10, size: 4, value: value)
  }
  /// High half first, as Linux does.
  func route(_ pin: UInt64, _ entry: UInt64) {
    writeIO(0x11 + pin * 2, entry >> 32)
    writeIO(0x10 + pin * 2, entry & 0xFFFF_FFFF)
  }
  func initializePIC(masks: UInt32 = 0) {
    for (port, value) in [(0x20, 0x11), (0xA0, 0x11), (0x21, 0x30), (0xA1, 0x38), (0x21, 4), (0xA1, 2), (0x21, 1), (0xA1, 1)]
      as [(UInt16, UInt32)]
    {
      out(port, value)
    }
    out(0x21, masks)
    out(0xA1, masks)
  }
}
