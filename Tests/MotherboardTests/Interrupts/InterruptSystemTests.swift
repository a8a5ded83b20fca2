import Testing

@testable import Motherboard

@Suite struct InterruptSystemTests {
  @Test func the8259sComeThroughLINT0AsFirmwareFindsIt() throws {
    let rig = try InterruptRig()
    rig.initializePIC()
    let line = rig.system.line(isa: 0)
    line.set(true)
    #expect(rig.processor.levels == [true])
    #expect(rig.system.acknowledge() == 0x30)
    rig.out(0x20, 0x20)
    line.pulse()
    // Software-enabled, LINT0 decides.
    rig.write(0xF0, 0x1FF)
    #expect(rig.system.isPending)
    rig.write(0x350, 0x10700)
    #expect(!rig.system.isPending)
    #expect(rig.system.acknowledge() == nil)
    rig.write(0x350, 0x8700)
    #expect(rig.system.acknowledge() == 0x30)
    // Without an APIC they go straight to the processor.
    rig.write(0x350, 0x10700)
    #expect(rig.system.writeMSR(0x1B, 0xFEE0_0100))
    rig.out(0x20, 0x20)
    line.pulse()
    #expect(rig.system.acknowledge() == 0x30)
  }

  @Test func LINT0CanCarryAVector() throws {
    let rig = try InterruptRig()
    rig.initializePIC()
    rig.enable()
    rig.write(0x350, 0x31)
    rig.system.line(isa: 0).set(true)
    #expect(rig.system.acknowledge() == 0x31)
    #expect(rig.system.metrics.local == 1)
  }

  @Test func theLocalAPICsVectorsComeBeforeThe8259s() throws {
    let rig = try InterruptRig()
    rig.initializePIC()
    rig.enable()
    rig.write(0x350, 0x700)
    rig.system.line(isa: 3).set(true)
    rig.write(0x300, 0x40022)
    #expect(rig.system.acknowledge() == 0x22)
    #expect(rig.system.acknowledge() == 0x33)
  }

  @Test func anISARequestDrivesBothAndRequest0PinTwo() throws {
    let rig = try InterruptRig()
    rig.initializePIC(masks: 0xFF)
    rig.enable()
    rig.route(2, 0x0100_0000_0000_0830)
    rig.route(0, 0x0100_0000_0000_0831)
    rig.system.line(isa: 0).pulse()
    #expect(rig.system.acknowledge() == 0x30)
    rig.write(0xB0, 0)
    #expect(!rig.system.isPending)
    rig.out(0x20, 0x0A)
    #expect(rig.test.board.readPort(0x20, size: 1) == 1)
    // Nobody drives request 2.
    rig.system.line(isa: 2).pulse()
    rig.system.line(isa: 99).pulse()
    rig.system.gsiLine(24).pulse()
    #expect(!rig.system.isPending)
  }

  @Test func sharedRequestsStayHighUntilTheLastDriverLetsGo() throws {
    let rig = try InterruptRig()
    rig.initializePIC()
    rig.out(0x4D1, 0x0C)
    let (a, b) = (rig.system.line(isa: 10), rig.system.line(isa: 10))
    a.set(true)
    b.set(true)
    a.set(false)
    #expect(rig.system.isPending)
    b.set(false)
    #expect(!rig.system.isPending)
  }

  @Test func messagesReachTheLocalAPIC() throws {
    let rig = try InterruptRig()
    rig.enable()
    rig.system.message(address: 0xFEE0_0000, data: 0x4051)
    #expect(rig.system.acknowledge() == 0x51)
    rig.write(0xB0, 0)
    rig.system.message(address: 0xFEE0_1004, data: 0x4052)
    #expect(rig.system.acknowledge() == 0x52)
    rig.system.message(address: 0xFEE0_2004, data: 0x4062)
    #expect(!rig.system.isPending)
    #expect(rig.system.metrics.messages == 3)
  }

  @Test func theNMIPinGoesThroughLINT1() throws {
    let rig = try InterruptRig()
    rig.enable()
    rig.system.raiseNonMaskable()
    #expect(rig.processor.nonMaskable == 0)
    rig.write(0x360, 0x8400)
    rig.system.raiseNonMaskable()
    #expect(rig.processor.nonMaskable == 1)
    rig.system.isNonMaskableMasked = { true }
    rig.system.raiseNonMaskable()
    #expect(rig.processor.nonMaskable == 1)
  }
}
