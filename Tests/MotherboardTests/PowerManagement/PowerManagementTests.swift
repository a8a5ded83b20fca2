import Testing

@testable import Motherboard

@Suite struct PowerManagementTests {
  private struct Rig {
    let test: TestBoard
    let wire = Wire()
    let pm: PowerManagement
    var board: Board { test.board }

    init() throws {
      test = try TestBoard()
      pm = PowerManagement(board: test.board, interrupt: wire.line)
    }

    /// As SeaBIOS does.
    func open() {
      pm.function.write(0x40, size: 4, 0x601)
      pm.function.write(0x80, size: 1, 1)
      pm.function.write(0x90, size: 4, 0x701)
      pm.function.write(0xD2, size: 1, 9)
    }
  }

  @Test func thePortsComeWhereSoftwarePutsThem() throws {
    let rig = try Rig()
    #expect(rig.pm.function.read(0x58, size: 4) == 0x0200_0000)
    #expect(rig.board.readPort(0x604, size: 2) == 0xFFFF)
    rig.open()
    #expect(rig.pm.function.read(0x40, size: 4) == 0x601)
    #expect(rig.board.readPort(0x604, size: 2) == 0)
    #expect(rig.board.readPort(0x60C, size: 4) == .max)
    #expect(rig.board.readPort(0x628, size: 4) == .max)
    rig.pm.function.write(0x41, size: 1, 0xB0)
    #expect(rig.board.readPort(0x604, size: 2) == 0xFFFF)
    #expect(rig.board.readPort(0xB004, size: 2) == 0)
    rig.pm.reset()
    #expect(rig.board.readPort(0xB004, size: 2) == 0xFFFF)
  }

  @Test func theTimerCountsAt3579545HzIn24Bits() throws {
    let rig = try Rig()
    rig.open()
    #expect(rig.board.readPort(0x608, size: 4) == 0)
    rig.test.advance(to: 1_000_000_000)
    #expect(rig.board.readPort(0x608, size: 4) == 3_579_545)
    #expect(rig.board.readPort(0x608, size: 2) == 3_579_545 & 0xFFFF)
    #expect(rig.board.readPort(0x609, size: 1) == 3_579_545 >> 8 & 0xFF)
    rig.test.advance(to: 10_000_000_000)
    #expect(rig.board.readPort(0x608, size: 4) == 35_795_450 & 0xFF_FFFF)
  }

  @Test func theTimersHighBitInterruptsWhenEnabled() throws {
    let rig = try Rig()
    rig.open()
    rig.board.writePort(0xB2, size: 1, value: 0xF1)
    rig.board.writePort(0x602, size: 2, value: 1)
    let halfway = rig.board.cycles(ofTicks: 1 << 23, at: PowerManagement.timerFrequency)
    rig.test.advance(to: halfway - 1)
    #expect(!rig.wire.level)
    rig.test.advance(to: halfway)
    #expect(rig.wire.level)
    #expect(rig.board.readPort(0x600, size: 2) == 1)
    rig.board.writePort(0x600, size: 2, value: 1)
    #expect(!rig.wire.level)
    #expect(rig.board.readPort(0x600, size: 2) == 0)
    rig.test.advance(to: 2 * halfway)
    #expect(rig.wire.level)
    rig.board.writePort(0x602, size: 2, value: 0)
    #expect(!rig.wire.level)
    #expect(rig.board.readPort(0x600, size: 2) == 1)
    #expect(rig.board.queue.isEmpty)
    #expect(rig.pm.metrics.interrupts == 2)
  }

  @Test func acpiIsHandedOverByTheAPMPort() throws {
    let rig = try Rig()
    rig.open()
    rig.board.writePort(0xB3, size: 1, value: 0x12)
    rig.board.writePort(0xB2, size: 1, value: 0xF1)
    #expect(rig.board.readPort(0xB2, size: 2) == 0x12F1)
    #expect(rig.board.readPort(0x604, size: 2) == 1)
    rig.board.writePort(0xB2, size: 1, value: 0xF0)
    #expect(rig.board.readPort(0x604, size: 2) == 0)
  }

  @Test func thePowerButtonInterruptsAndSoftOffEnds() throws {
    let rig = try Rig()
    var off = 0
    var log: [String] = []
    rig.board.outside.powerOff = { off += 1 }
    rig.board.outside.log = { log.append($0) }
    rig.open()
    rig.board.writePort(0x602, size: 2, value: 0x100)
    rig.pm.pressPowerButton()
    #expect(!rig.wire.level)
    rig.board.writePort(0xB2, size: 1, value: 0xF1)
    #expect(rig.wire.level)
    #expect(rig.board.readPort(0x600, size: 4) == 0x0100_0100)
    let saved = rig.pm.state
    rig.board.writePort(0x601, size: 1, value: 1)
    #expect(!rig.wire.level)
    rig.pm.state = saved
    #expect(rig.wire.level)
    rig.board.writePort(0x604, size: 2, value: 1)
    #expect(off == 0)
    rig.board.writePort(0x604, size: 2, value: 0x2401)
    #expect(off == 0)
    #expect(log.count == 1)
    rig.board.writePort(0x604, size: 2, value: 0x2001)
    #expect(off == 1)
    #expect(rig.board.readPort(0x604, size: 2) == 1)
  }

  @Test func generalEventsAreStorageWithoutEvents() throws {
    let rig = try Rig()
    rig.board.writePort(0xAFE0, size: 1, value: 0xFF)
    rig.board.writePort(0xAFE2, size: 2, value: 0x0206)
    #expect(rig.board.readPort(0xAFE0, size: 2) == 0)
    #expect(rig.board.readPort(0xAFE2, size: 1) == 6)
    #expect(rig.board.readPort(0xAFE3, size: 1) == 2)
    #expect(!rig.wire.level)
  }

  @Test func nobodyAnswersOnTheSMBus() throws {
    let rig = try Rig()
    rig.open()
    rig.board.writePort(0x704, size: 1, value: 0xA1)
    #expect(rig.board.readPort(0x704, size: 1) == 0xA1)
    rig.board.writePort(0x702, size: 1, value: 0x48)
    #expect(rig.board.readPort(0x700, size: 1) == 4)
    #expect(rig.board.readPort(0x702, size: 1) == 8)
    rig.board.writePort(0x700, size: 1, value: 0x1E)
    #expect(rig.board.readPort(0x700, size: 1) == 0)
    #expect(!rig.wire.level)
    rig.board.writePort(0x702, size: 1, value: 0x49)
    #expect(rig.wire.level)
  }
}
