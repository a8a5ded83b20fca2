import Testing

@testable import Motherboard

@Suite struct Serial16550Tests {
  let rig: Rig
  init() throws { rig = try Rig() }

  final class Rig {
    let test: TestBoard
    let uart: Serial16550
    final class Host {
      var output: [[UInt8]] = []
      var level = false
      var edges = 0
    }
    let host = Host()
    init() throws {
      test = try TestBoard()
      uart = Serial16550(
        board: test.board,
        line: InterruptLine { [host] in
          host.level = $0
          if $0 { host.edges += 1 }
        }, output: { [host] in host.output.append($0) })
    }
    func out(_ register: UInt16, _ value: UInt32) { test.board.writePort(0x3F8 + register, size: 1, value: value) }
    func read(_ register: UInt16) -> UInt32 { test.board.readPort(0x3F8 + register, size: 1) }
  }

  @Test func registersAfterReset() throws {
    #expect((1...7).map { rig.read($0) } == [0, 1, 0, 8, 0x60, 0xB0, 0])
    rig.out(7, 0xA5)
    #expect(rig.read(7) == 0xA5)
    rig.out(1, 0xFF)
    #expect(rig.read(1) == 0x0F)
    rig.out(3, 0x80)
    rig.out(0, 1)
    rig.out(1, 2)
    #expect(rig.read(0) == 1)
    #expect(rig.read(1) == 2)
    rig.out(3, 3)
    #expect(rig.read(1) == 0x0F)
    rig.out(2, 1)
    #expect(rig.read(2) & 0xC0 == 0xC0)
    rig.uart.reset()
    #expect((1...7).map { rig.read($0) } == [0, 1, 0, 8, 0x60, 0xB0, 0])
  }

  @Test func outputComesInBatches() throws {
    for byte in "hello".utf8 {
      #expect(rig.read(5) == 0x60)
      rig.out(0, UInt32(byte))
    }
    #expect(rig.host.output.isEmpty)
    rig.test.advance(by: 2_000_000)
    #expect(rig.host.output == [Array("hello".utf8)])
    let more = [UInt8](repeating: 0x2E, count: 5000)
    let done = more.withUnsafeBytes { rig.test.board.writePort(0x3F8, size: 1, from: $0) }
    #expect(done == 5000)
    #expect(rig.host.output.count == 2)
    rig.uart.flush()
    #expect(rig.host.output.flatMap { $0 }.count == 5005)
  }

  @Test func theEmptyInterruptComesWhenEnabledAndAfterEachWrite() throws {
    rig.out(1, 2)
    #expect(rig.host.level)
    #expect(rig.read(2) == 2, "and reading it clears it")
    #expect(!rig.host.level)
    #expect(rig.read(2) == 1)
    // Enabled once more, it comes once more.
    rig.out(1, 0)
    rig.out(1, 2)
    #expect(rig.read(2) == 2)
    rig.out(0, 0x41)
    #expect(!rig.host.level)
    rig.test.advance(by: 100_000)
    #expect(rig.host.level)
    // A write takes it back until it is sent.
    rig.out(0, 0x42)
    #expect(!rig.host.level)
    rig.out(1, 0)
    rig.test.advance(by: 100_000)
    #expect(!rig.host.level)
  }

  @Test func inputFillsTheFIFOAndTheRestWaits() throws {
    rig.out(2, 0xC1)
    rig.out(1, 1)
    rig.uart.receive([1, 2, 3])
    #expect(!rig.host.level, "below the trigger")
    rig.test.advance(by: 10_000_000)
    #expect(rig.host.level)
    #expect(rig.read(2) == 0xCC)
    #expect([rig.read(0), rig.read(0)] == [1, 2])
    #expect(!rig.host.level)
    #expect(rig.read(5) & 1 == 1)
    rig.uart.receive(Array(4...40))
    #expect(rig.read(2) == 0xC4)
    #expect((3...40).map { _ in rig.read(0) } == Array(3...40))
    #expect(rig.read(5) == 0x60)
    #expect(rig.read(2) == 0xC1)
    #expect(rig.read(0) == 0)
  }

  @Test func withoutFIFOEachByteInterrupts() throws {
    rig.out(1, 1)
    rig.uart.receive([7, 8])
    #expect(rig.read(2) == 4)
    #expect(rig.read(0) == 7)
    #expect(rig.host.level)
    #expect(rig.read(0) == 8)
    #expect(!rig.host.level)
    // OUT2 keeps the interrupt from the bus.
    rig.out(4, 0)
    rig.uart.receive([9])
    #expect(!rig.host.level)
    rig.out(4, 8)
    #expect(rig.host.level)
  }

  @Test func loopbackConnectsOutputsToInputs() throws {
    rig.out(4, 0x1A)
    #expect(rig.read(6) & 0xF0 == 0x90)
    rig.out(4, 0x15)
    #expect(rig.read(6) & 0xF0 == 0x60)
    rig.out(0, 0x5A)
    #expect(rig.read(5) & 1 == 1)
    rig.out(0, 0x5B)
    #expect(rig.read(5) & 2 == 2, "overrun")
    #expect(rig.read(5) & 2 == 0)
    #expect(rig.read(0) == 0x5A)
    rig.uart.flush()
    #expect(rig.host.output.isEmpty)
    _ = rig.read(6)
    rig.out(1, 8)
    rig.out(4, 0x19)
    #expect(rig.read(2) == 0)
    // DSR stayed, RI ended, DCD came.
    #expect(rig.read(6) == 0xAC)
    #expect(rig.read(2) == 1)
  }

  @Test func aBreakIsALineError() throws {
    rig.out(1, 5)
    rig.uart.receiveBreak()
    #expect(rig.read(2) == 6)
    #expect(rig.read(5) == 0x71)
    #expect(rig.read(2) == 4)
    #expect(rig.read(0) == 0)
    #expect(rig.read(5) == 0x60)
  }

  @Test func stateGoesThereAndBack() throws {
    rig.out(1, 1)
    rig.uart.receive([1, 2, 3])
    let saved = rig.uart.state
    rig.uart.reset()
    #expect(!rig.host.level)
    rig.uart.state = saved
    #expect(rig.host.level)
    #expect((0..<3).map { _ in rig.read(0) } == [1, 2, 3])
  }
}
