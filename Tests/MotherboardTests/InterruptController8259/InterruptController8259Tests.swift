import Testing

@testable import Motherboard

@Suite struct InterruptController8259Tests {
  let test: TestBoard
  let pic: InterruptController8259

  init() throws {
    test = try TestBoard()
    pic = InterruptController8259(board: test.board)
    initialize()
  }

  private func out(_ port: UInt16, _ value: UInt32) { test.board.writePort(port, size: 1, value: value) }
  private func read(_ port: UInt16) -> UInt32 { test.board.readPort(port, size: 1) }

  /// As PC firmware does.
  private func initialize(fourth: UInt32 = 1) {
    for (port, value) in [(0x20, 0x11), (0xA0, 0x11), (0x21, 0x08), (0xA1, 0x70), (0x21, 4), (0xA1, 2)] as [(UInt16, UInt32)] {
      out(port, value)
    }
    out(0x21, fourth)
    out(0xA1, fourth)
    out(0x21, 0)
    out(0xA1, 0)
  }

  @Test func masksReadBackAndHoldRequestsBack() {
    out(0x21, 0xFB)
    out(0xA1, 0xFF)
    #expect(read(0x21) == 0xFB)
    #expect(read(0xA1) == 0xFF)
    pic.setInput(0, true)
    #expect(!pic.isRequesting)
    out(0x20, 0x0A)
    #expect(read(0x20) == 1)
    out(0x21, 0xFA)
    #expect(pic.isRequesting)
    #expect(pic.acknowledge() == 0x08)
    out(0x20, 0x0B)
    #expect(read(0x20) == 1)
  }

  @Test func higherPriorityInterruptsLowerOneAndEndsComeInOrder() {
    pic.setInput(4, true)
    #expect(pic.acknowledge() == 0x0C)
    pic.setInput(6, true)
    #expect(!pic.isRequesting)
    pic.setInput(1, true)
    #expect(pic.acknowledge() == 0x09)
    out(0x20, 0x20)
    #expect(!pic.isRequesting, "input 4 is still in service")
    out(0x20, 0x64)
    #expect(pic.acknowledge() == 0x0E)
  }

  @Test func theSecondControllerComesThroughInputTwo() {
    pic.setInput(12, true)
    #expect(pic.acknowledge() == 0x74)
    out(0x20, 0x0B)
    out(0xA0, 0x0B)
    #expect(read(0x20) == 4)
    #expect(read(0xA0) == 0x10)
    pic.setInput(8, true)
    #expect(!pic.isRequesting, "the first controller's input 2 is in service")
    out(0x20, 0x20)
    #expect(pic.acknowledge() == 0x70)
    // Nothing else reaches input 2.
    out(0x20, 0x20)
    out(0xA0, 0x20)
    out(0xA0, 0x20)
    pic.setInput(2, true)
    #expect(!pic.isRequesting)
  }

  @Test func specialFullyNestedModeLetsTheSecondControllersHigherInputsThrough() {
    initialize(fourth: 0x11)
    pic.setInput(12, true)
    #expect(pic.acknowledge() == 0x74)
    pic.setInput(8, true)
    #expect(pic.isRequesting)
    #expect(pic.acknowledge() == 0x70)
  }

  @Test func anEdgeMustFallBeforeItCountsAgainAndALevelAsksAgainAfterItsEnd() {
    pic.setInput(5, true)
    #expect(pic.acknowledge() == 0x0D)
    out(0x20, 0x20)
    #expect(!pic.isRequesting)
    pic.setInput(5, false)
    pic.setInput(5, true)
    #expect(pic.isRequesting)
    #expect(pic.acknowledge() == 0x0D)
    out(0x20, 0x20)

    out(0x4D0, 0xFF)
    out(0x4D1, 0xFF)
    #expect(read(0x4D0) == 0xF8)
    #expect(read(0x4D1) == 0xDE)
    pic.setInput(11, true)
    pic.setInput(5, false)
    for _ in 0..<3 {
      #expect(pic.acknowledge() == 0x73)
      #expect(!pic.isRequesting)
      out(0xA0, 0x20)
      out(0x20, 0x20)
      #expect(pic.isRequesting)
    }
    pic.setInput(11, false)
    #expect(!pic.isRequesting)
  }

  @Test func aRequestThatIsGoneIsTheVectorOfInputSevenAndNothingInService() {
    #expect(pic.acknowledge() == 0x0F)
    out(0x20, 0x0B)
    #expect(read(0x20) == 0)
    // From the second controller: the first one has input 2 in service.
    out(0xA1, 0xFF)
    pic.setInput(14, true)
    out(0xA1, 0)
    #expect(pic.isRequesting)
    pic.setInput(14, false)
    #expect(!pic.isRequesting)
    #expect(pic.acknowledge() == 0x0F)
  }

  @Test func initializationForgetsEdgesAndMasks() {
    out(0x21, 0xFF)
    pic.setInput(3, true)
    initialize()
    #expect(read(0x21) == 0)
    #expect(!pic.isRequesting)
    pic.setInput(3, false)
    pic.setInput(3, true)
    #expect(pic.isRequesting)
  }

  @Test func automaticEndLeavesNothingInService() {
    initialize(fourth: 3)
    for _ in 0..<2 {
      pic.setInput(0, true)
      #expect(pic.acknowledge() == 0x08)
      pic.setInput(0, false)
    }
    out(0x20, 0x0B)
    #expect(read(0x20) == 0)
  }

  @Test func specialMaskModeLetsLowerPrioritiesPassAMaskedServiceRoutine() {
    pic.setInput(1, true)
    #expect(pic.acknowledge() == 0x09)
    pic.setInput(6, true)
    #expect(!pic.isRequesting)
    out(0x21, 0x02)
    out(0x20, 0x68)
    #expect(pic.isRequesting)
    #expect(pic.acknowledge() == 0x0E)
    // A plain end of interrupt does not end what is masked.
    out(0x20, 0x20)
    out(0x20, 0x0B)
    #expect(read(0x20) == 2)
    out(0x20, 0x48)
    out(0x20, 0x61)
    #expect(read(0x20) == 0)
  }

  @Test func prioritiesRotate() {
    // Input 4 becomes the lowest.
    out(0x20, 0xC4)
    pic.setInput(4, true)
    pic.setInput(0, true)
    pic.setInput(5, true)
    #expect(pic.acknowledge() == 0x0D)
    // Rotate on end: 5 is the lowest then.
    out(0x20, 0xA0)
    pic.setInput(6, true)
    #expect(pic.acknowledge() == 0x0E)
    out(0x20, 0xE6)
    #expect(pic.acknowledge() == 0x08)
  }

  @Test func pollingAcknowledges() {
    pic.setInput(3, true)
    out(0x20, 0x0C)
    #expect(read(0x20) == 0x83)
    #expect(!pic.isRequesting)
    out(0x20, 0x0C)
    #expect(read(0x21) == 0)
    out(0x20, 0x0B)
    #expect(read(0x20) == 8)
  }

  @Test func theWireToTheProcessorIsToldOfChangesOnly() {
    var levels: [Bool] = []
    pic.outputChanged = { levels.append($0) }
    pic.setInput(3, true)
    pic.setInput(1, true)
    _ = pic.acknowledge()
    out(0x20, 0x20)
    pic.reset()
    #expect(levels == [true, false, true, false])
  }

  @Test func stateGoesThereAndBack() throws {
    pic.setInput(9, true)
    let saved = pic.state
    pic.reset()
    #expect(!pic.isRequesting)
    pic.state = saved
    #expect(pic.isRequesting)
    #expect(pic.acknowledge() == 0x71)
  }
}
