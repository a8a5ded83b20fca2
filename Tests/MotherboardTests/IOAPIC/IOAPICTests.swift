import Testing

@testable import Motherboard

@Suite struct IOAPICTests {
  let rig: InterruptRig
  init() throws { rig = try InterruptRig() }

  @Test func registersReadBack() throws {
    #expect(rig.readIO(1) == 0x0017_0020)
    #expect(rig.readIO(0) == 0)
    #expect(rig.readEntry(23) == 0x10000)
    rig.route(5, 0x0100_0000_FFFF_FFFF)
    #expect(rig.readEntry(5) == 0x0100_0000_0001_AFFF)
    #expect(rig.readIO(0x40) == 0)
  }

  @Test func anEdgeInterruptsOnceAndIsLostWhileMasked() throws {
    rig.enable()
    let line = rig.system.line(isa: 4)
    line.set(true)
    rig.route(4, 0x0100_0000_0000_0834)
    #expect(!rig.system.isPending)
    line.pulse()
    #expect(rig.system.acknowledge() == 0x34)
    rig.write(0xB0, 0)
    #expect(!rig.system.isPending)
    #expect(rig.readEntry(4) & 0x4000 == 0)
  }

  @Test func aLevelInterruptsUntilItFalls() throws {
    rig.enable()
    let (first, second) = (rig.system.line(isa: 11), rig.system.gsiLine(11))
    first.set(true)
    second.set(true)
    // Unmasking looks at the level again.
    rig.route(11, 0x0100_0000_0000_8939)
    for round in 0..<4 {
      #expect(rig.system.acknowledge() == 0x39)
      #expect(rig.readEntry(11) & 0x4000 != 0)
      #expect(rig.read(0x190) == 1 << 25)
      if round == 2 { first.set(false) }
      if round == 3 { second.set(false) }
      #expect(!rig.system.isPending)
      rig.write(0xB0, 0)
    }
    #expect(!rig.system.isPending)
    #expect(rig.readEntry(11) & 0x4000 == 0)
  }

  @Test func anEdgeEntryForgetsTheLevelsRequestAndTheEndRegisterEndsIt() throws {
    rig.enable()
    rig.route(10, 0x0100_0000_0000_8939)
    rig.system.gsiLine(10).set(true)
    #expect(rig.readEntry(10) & 0x4000 != 0)
    rig.writeIO(0x24, 0x10939)
    #expect(rig.readEntry(10) & 0x4000 == 0)
    rig.writeIO(0x24, 0x8839)
    _ = rig.system.acknowledge()
    #expect(rig.readEntry(10) & 0x4000 != 0)
    rig.writeIO(0x24, 0x18839)
    rig.test.board.writeMemory(0xFEC0_0040, size: 4, value: 0x39)
    #expect(rig.readEntry(10) & 0x4000 == 0)
  }

  @Test func aLevelWaitsForALocalAPICThatTakesIt() throws {
    rig.route(9, 0x0100_0000_0000_8940)
    rig.system.gsiLine(9).set(true)
    #expect(rig.readEntry(9) & 0x4000 == 0)
    rig.enable()
    #expect(rig.system.acknowledge() == 0x40)
  }

  @Test func nonMaskableEntriesReachTheProcessor() throws {
    rig.enable()
    rig.route(20, 0x400)
    rig.system.gsiLine(20).pulse()
    #expect(rig.processor.nonMaskable == 1)
  }
}
