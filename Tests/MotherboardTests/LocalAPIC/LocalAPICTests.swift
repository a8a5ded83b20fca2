import Testing

@testable import Motherboard

@Suite struct LocalAPICTests {
  let rig: InterruptRig
  init() throws { rig = try InterruptRig() }

  @Test func registersAtReset() throws {
    #expect(rig.read(0x30) == 0x0005_0014)
    #expect(rig.read(0x20) == 0)
    #expect(rig.read(0xF0) == 0xFF)
    #expect(rig.read(0xE0) == 0xFFFF_FFFF)
    #expect(rig.read(0x320) == 0x10000)
    for offset in stride(from: 0x100 as UInt64, to: 0x280, by: 16) { #expect(rig.read(offset) == 0) }
    #expect(rig.system.readMSR(0x1B) == 0xFEE0_0900)
  }

  @Test func prioritiesAndEndsOfInterrupt() throws {
    rig.enable()
    for vector: UInt64 in [0x35, 0x61, 0x41] { rig.write(0x300, 0x40000 | vector) }
    #expect(rig.processor.levels == [true])
    #expect(rig.read(0x210) == 1 << 0x15)
    #expect(rig.system.acknowledge() == 0x61)
    #expect(rig.read(0xA0) == 0x60)
    #expect(!rig.system.isPending)
    #expect(rig.read(0x130) == 2)
    rig.write(0xB0, 0)
    #expect(rig.system.acknowledge() == 0x41)
    rig.write(0x300, 0x4004F)
    #expect(!rig.system.isPending, "the same class waits")
    rig.write(0xB0, 0)
    #expect(rig.system.acknowledge() == 0x4F)
    rig.write(0xB0, 0)
    rig.system.setTaskPriority(3)
    #expect(rig.read(0x80) == 0x30)
    #expect(!rig.system.isPending)
    rig.write(0x80, 0x2F)
    #expect(rig.system.taskPriority == 2)
    #expect(rig.system.acknowledge() == 0x35)
    #expect(rig.system.acknowledge() == nil)
  }

  @Test func interruptCommandsReachThisProcessorOrNobody() throws {
    rig.enable()
    // Logical destination 1, as Linux sends; then another; physical 0; all but self; to all.
    for (high, low, arrives) in [
      (0x0100_0000, 0x8FD, true), (0x0200_0000, 0x8FD, false), (0, 0x4FD & 0xF0FF, true), (0x0500_0000, 0x40FD, false), (0, 0xC00FD, false),
      (0, 0x800FD, true), (0xFF00_0000, 0xFD, true),
    ] as [(UInt64, UInt64, Bool)] {
      rig.write(0x310, high)
      rig.write(0x300, low)
      #expect(rig.read(0x300) == low)
      #expect(rig.system.isPending == arrives)
      if arrives {
        #expect(rig.system.acknowledge() == 0xFD)
        rig.write(0xB0, 0)
      }
    }
    rig.write(0x310, 0)
    rig.write(0x300, 0x400)
    #expect(rig.processor.nonMaskable == 1)
    // INIT and start-up for all but this one go nowhere.
    rig.write(0x300, 0xC4500)
    rig.write(0x300, 0xC4610)
    #expect(rig.system.localAPIC.startMessages == 0)
    #expect(!rig.system.isPending)
  }

  @Test func illegalVectorsAndRegistersAreErrors() throws {
    rig.enable()
    rig.write(0x370, 0xFE)
    rig.write(0x300, 0x40005)
    #expect(rig.system.acknowledge() == 0xFE)
    #expect(rig.read(0x280) == 0)
    rig.write(0x280, 0)
    #expect(rig.read(0x280) == 0x20)
    _ = rig.read(0x40)
    rig.write(0x280, 0)
    #expect(rig.read(0x280) == 0x80)
    rig.write(0x280, 0)
    #expect(rig.read(0x280) == 0)
  }

  @Test func aSwitchedOffAPICMasksItsVectorsAndTakesNothing() throws {
    rig.enable()
    rig.write(0x320, 0x30)
    rig.write(0xF0, 0xFF)
    #expect(rig.read(0x320) == 0x10030)
    rig.write(0x320, 0x30)
    #expect(rig.read(0x320) == 0x10030)
    rig.write(0x300, 0x40041)
    #expect(!rig.system.isPending)
  }

  @Test func theTimerCountsOnceOrAgainAndAgain() throws {
    let rig = try InterruptRig(.init(frequency: 1_000_000_000))
    rig.enable()
    // One-shot, divided by 16.
    rig.write(0x320, 0xEC)
    rig.write(0x3E0, 3)
    rig.write(0x380, 1000)
    rig.test.advance(by: 1600)
    #expect(rig.read(0x390) == 900)
    rig.test.advance(by: 14399)
    #expect(!rig.system.isPending)
    rig.test.advance(by: 1)
    #expect(rig.system.acknowledge() == 0xEC)
    #expect(rig.read(0x390) == 0)
    rig.write(0xB0, 0)
    rig.test.advance(by: 100_000)
    #expect(!rig.system.isPending)
    // Periodic.
    rig.write(0x320, 0x200EC)
    #expect(rig.read(0x390) == 0, "another mode does not start it")
    rig.write(0x3E0, 11)
    rig.write(0x380, 500)
    let start = rig.test.clock.now
    for period: UInt64 in 1...100 {
      rig.test.advance(to: start + period * 500 - 1)
      #expect(!rig.system.isPending)
      rig.test.advance(to: start + period * 500)
      #expect(rig.system.acknowledge() == 0xEC)
      rig.write(0xB0, 0)
    }
    #expect(rig.read(0x390) == 500)
    // Masked it counts on in silence.
    rig.write(0x320, 0x300EC)
    #expect(rig.test.board.queue.isEmpty)
    rig.test.advance(by: 499)
    #expect(rig.read(0x390) == 1)
    rig.write(0x320, 0x200EC)
    rig.test.advance(by: 1)
    #expect(rig.system.isPending)
    rig.write(0x380, 0)
    #expect(rig.test.board.queue.isEmpty)
  }

  @Test func aPeriodicTimerThatNobodyServesHasNoEvents() throws {
    rig.enable()
    rig.write(0x320, 0x20040)
    rig.write(0x3E0, 11)
    rig.write(0x380, 1)
    rig.test.advance(by: 1)
    #expect(rig.system.isPending)
    #expect(rig.test.board.queue.isEmpty)
    rig.test.advance(by: 1_000_000)
    #expect(rig.system.acknowledge() == 0x40)
    #expect(!rig.test.board.queue.isEmpty)
    rig.test.advance(by: 1)
    #expect(!rig.system.isPending, "in service")
    rig.write(0xB0, 0)
    #expect(rig.system.acknowledge() == 0x40)
  }

  @Test func aPeriodThatIsNoWholeNumberOfCyclesDoesNotDrift() throws {
    let test = try TestBoard(cyclesPerSecond: 2_100_000_000)
    let system = InterruptSystem(board: test.board, configuration: .init(frequency: 24_000_001))
    test.board.writeMemory(0xFEE0_00F0, size: 4, value: 0x1FF)
    test.board.writeMemory(0xFEE0_0320, size: 4, value: 0x20040)
    test.board.writeMemory(0xFEE0_03E0, size: 4, value: 11)
    test.board.writeMemory(0xFEE0_0380, size: 4, value: 1001)
    for period: UInt64 in 1...1000 {
      test.advance(to: test.board.queue.nextDue ?? 0)
      #expect(test.clock.now == test.board.cycles(ofTicks: period * 1001, at: 24_000_001))
      #expect(system.acknowledge() == 0x40)
      test.board.writeMemory(0xFEE0_00B0, size: 4, value: 0)
    }
  }

  @Test func theDeadlineTimerFollowsTheTimeStampCounter() throws {
    rig.enable()
    #expect(rig.system.writeMSR(0x6E0, 5000))
    #expect(rig.system.readMSR(0x6E0) == 0, "not in this mode")
    rig.write(0x320, 0x40041)
    #expect(rig.system.writeMSR(0x6E0, 5000))
    rig.test.advance(to: 4999)
    #expect(rig.system.readMSR(0x6E0) == 5000)
    rig.test.advance(to: 5000)
    #expect(rig.system.acknowledge() == 0x41)
    #expect(rig.system.readMSR(0x6E0) == 0)
    rig.write(0xB0, 0)
    rig.system.timeStampOffset = 1_000_000
    #expect(rig.system.writeMSR(0x6E0, 1_007_000))
    rig.test.advance(to: 6999)
    #expect(!rig.system.isPending)
    rig.test.advance(to: 7000)
    #expect(rig.system.acknowledge() == 0x41)
    rig.write(0xB0, 0)
    // Software moves the counter: the deadline is the counter's, so it is earlier now.
    #expect(rig.system.writeMSR(0x6E0, 1_020_000))
    rig.system.timeStampOffset = 1_010_000
    rig.test.advance(to: 9999)
    #expect(!rig.system.isPending)
    rig.test.advance(to: 10_000)
    #expect(rig.system.acknowledge() == 0x41)
    rig.write(0xB0, 0)
    // One that passes while its entry is masked is over; one that is still to come is not.
    rig.write(0x320, 0x50041)
    #expect(rig.system.writeMSR(0x6E0, 1_021_000))
    rig.test.advance(to: 12_000)
    rig.write(0x320, 0x40041)
    rig.test.advance(by: 0)
    #expect(rig.system.readMSR(0x6E0) == 0)
    #expect(rig.system.acknowledge() == nil)
    rig.write(0x320, 0x50041)
    #expect(rig.system.writeMSR(0x6E0, 1_023_000))
    rig.write(0x320, 0x40041)
    rig.test.advance(to: 13_000)
    #expect(rig.system.acknowledge() == 0x41)
    rig.write(0xB0, 0)
    // One that has passed fires at once, 0 is none.
    #expect(rig.system.writeMSR(0x6E0, 1))
    rig.test.advance(by: 0)
    #expect(rig.system.acknowledge() == 0x41)
    #expect(rig.system.writeMSR(0x6E0, 0))
    #expect(rig.test.board.queue.isEmpty)
    let without = try InterruptRig(.init(hasX2APIC: false, hasDeadlineTimer: false))
    #expect(without.system.readMSR(0x6E0) == nil)
    #expect(!without.system.writeMSR(0x1B, 0xFEE0_0D00))
  }

  @Test func registersAreMSRsInX2APICMode() throws {
    rig.enable()
    #expect(rig.system.readMSR(0x802) == nil)
    #expect(rig.system.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(rig.read(0x30) == 0xFFFF_FFFF, "no more in memory")
    #expect(rig.system.readMSR(0x803) == 0x0005_0014)
    #expect(rig.system.readMSR(0x80D) == 1)
    #expect(rig.system.readMSR(0x80E) == nil)
    #expect(rig.system.writeMSR(0x83F, 0x55))
    #expect(rig.system.readMSR(0x822) == 1 << 0x15)
    #expect(rig.system.acknowledge() == 0x55)
    #expect(!rig.system.writeMSR(0x80B, 1))
    #expect(rig.system.writeMSR(0x80B, 0))
    #expect(rig.system.writeMSR(0x830, 0x0000_0001_0000_0866))
    #expect(rig.system.acknowledge() == 0x66)
    #expect(!rig.system.writeMSR(0x830, 0x1000))
    #expect(!rig.system.writeMSR(0x808, 0x100))
    // Left only by switching off.
    #expect(!rig.system.writeMSR(0x1B, 0xFEE0_0900))
    #expect(!rig.system.writeMSR(0x1B, 0xFEE0_0500))
    #expect(rig.system.writeMSR(0x1B, 0xFEE0_0100))
    #expect(!rig.system.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(rig.system.writeMSR(0x1B, 0xFED1_0900))
    #expect(rig.read(0x30) == 0xFFFF_FFFF)
    #expect(rig.test.board.readMemory(0xFED1_0030, size: 4) == 0x0005_0014)
  }

  @Test func stateGoesThereAndBack() throws {
    rig.enable()
    rig.write(0x300, 0x40041)
    let saved = rig.system.localAPIC.state
    let bytes = rig.system.localAPIC.encodedState()
    rig.system.reset()
    #expect(!rig.system.isPending)
    rig.system.localAPIC.state = saved
    #expect(rig.system.isPending)
    #expect(rig.system.localAPIC.encodedState() == bytes)
  }
}
