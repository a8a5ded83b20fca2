import Testing

@testable import Hypervisor

/// event_channel_op and the two-level bitmaps.
struct EventChannelTests {
  let h: EventsHarness
  init() throws { h = try EventsHarness(vcpus: 2) }

  private func operation(_ op: UInt64) -> Int64 { h.call(32, op, EventsHarness.scratch) }

  /// EVTCHNOP_alloc_unbound for a remote domain; the port.
  private func allocate(remote: UInt16 = 0) -> UInt32 {
    h.put(UInt16(0x7FF0), 0)
    h.put(remote, 2)
    #expect(operation(6) == 0)
    return h.get(4)
  }

  private func bindVIRQ(_ virq: UInt32, _ vcpu: UInt32) -> Int64 {
    h.put(virq, 0)
    h.put(vcpu, 4)
    return operation(1)
  }

  @Test func portsStartAtOneAndAreReused() {
    #expect(allocate() == 1)
    #expect(allocate() == 2)
    h.put(UInt32(1))
    #expect(operation(3) == 0)
    #expect(allocate() == 1)
    #expect(allocate() == 3)
  }

  @Test func theTableGrowsToFourThousandPortsAndNoFurther() {
    for _ in 1..<4096 { #expect(h.domain.events.allocateUnbound(remote: .control) != 0) }
    #expect(h.domain.events.allocateUnbound(remote: .control) == 0)
    h.put(UInt16(0x7FF0), 0)
    #expect(operation(6) == -28)
  }

  @Test func aBackEndIsToldOfSendsAndRaisesEvents() {
    let port = allocate()
    let events = h.domain.events
    h.put(port)
    #expect(operation(4) == 0)
    #expect(h.services.sent.isEmpty)
    #expect(events.bindBackEnd(port: port, tag: 77))
    #expect(!events.bindBackEnd(port: port, tag: 78))
    #expect(events.backEndTag(port: port) == 77)
    #expect(operation(4) == 0)
    #expect(h.services.sent == [port])
    events.notifyGuest(port: port)
    #expect(h.shared(0x800, UInt64.self) == 1 << UInt64(port))
    #expect(h.shared(8, UInt64.self) == 1)
    #expect(h.shared(0, UInt8.self) == 1)
    events.closeBackEnd(port: port)
    #expect(events.backEndTag(port: port) == nil)
    h.put(UInt16(0x7FF0), 0)
    h.put(port, 4)
    #expect(operation(5) == 0)
    #expect(h.get(8, UInt32.self) == 1)
  }

  @Test func aPortForAnotherDomainIsNotForBackEnds() {
    let port = allocate(remote: 5)
    #expect(!h.domain.events.bindBackEnd(port: port, tag: 1))
    #expect(!h.domain.events.bindBackEnd(port: 0, tag: 1))
    #expect(!h.domain.events.bindBackEnd(port: 99999, tag: 1))
  }

  @Test func aMaskedPortWaitsForItsUnmask() {
    let port = h.domain.events.allocateUnbound(remote: .control)
    _ = h.domain.events.bindBackEnd(port: port, tag: 0)
    h.setShared(0xA00, UInt64(1) << UInt64(port))
    h.domain.events.notifyGuest(port: port)
    #expect(h.shared(0x800, UInt64.self) == 1 << UInt64(port))
    #expect(h.shared(0, UInt8.self) == 0)
    h.put(port)
    #expect(operation(9) == 0)
    #expect(h.shared(0xA00, UInt64.self) == 0)
    #expect(h.shared(8, UInt64.self) == 1)
    #expect(h.shared(0, UInt8.self) == 1)
  }

  @Test func aPendingPortIsNotRaisedTwice() {
    let port = h.domain.events.allocateUnbound(remote: .control)
    _ = h.domain.events.bindBackEnd(port: port, tag: 0)
    h.domain.events.notifyGuest(port: port)
    h.setShared(8, UInt64(0))
    h.setShared(0, UInt8(0))
    h.domain.events.notifyGuest(port: port)
    #expect(h.shared(0, UInt8.self) == 0)
  }

  @Test func virtualInterruptsAreBoundOncePerVCPU() {
    #expect(bindVIRQ(0, 0) == 0)
    let port: UInt32 = h.get(8)
    #expect(bindVIRQ(0, 0) == -17)
    #expect(bindVIRQ(0, 1) == 0)
    #expect(bindVIRQ(0, 2) == -2)
    #expect(bindVIRQ(24, 0) == -22)
    #expect(bindVIRQ(2, 1) == -22)
    #expect(bindVIRQ(2, 0) == 0)
    h.domain.timerFired(vcpu: 0, kind: .singleShot)
    #expect(h.domain.events.isPending(port))
    h.put(port)
    #expect(operation(3) == 0)
    #expect(bindVIRQ(0, 0) == 0)
    #expect(!h.domain.events.isPending(port))
  }

  @Test func interruptsBetweenProcessorsReachTheOther() {
    h.put(UInt32(1), 0)
    #expect(operation(7) == 0)
    let port: UInt32 = h.get(4)
    h.put(port)
    #expect(operation(4) == 0)
    // The other vCPU's slot of shared_info.
    #expect(h.shared(64, UInt8.self) == 1)
    #expect(h.shared(64 + 8, UInt64.self) == 1)
    #expect(h.shared(0, UInt8.self) == 0)
    h.put(UInt32(2), 0)
    #expect(operation(7) == -2)
    h.put(port, 0)
    h.put(UInt32(0), 4)
    #expect(operation(8) == -22)
  }

  @Test func twoPortsOfTheSameDomainConnect() {
    let first = allocate(remote: 0x7FF0)
    h.put(UInt16(0x7FF0), 0)
    h.put(first, 4)
    #expect(operation(0) == 0)
    let second: UInt32 = h.get(8)
    #expect(h.domain.events.isPending(second))
    h.put(second)
    #expect(operation(4) == 0)
    #expect(h.domain.events.isPending(first))
    #expect(operation(3) == 0)
    #expect(h.domain.events.port(first)?.state == .unbound)
    #expect(!h.domain.events.isPending(second))
  }

  @Test func refusals() {
    for (op, port, result) in [(3, 0, -22), (9, 0, 0), (4, 0, -22), (4, 5, -22), (4, 4096, -22), (3, 5, -22), (9, 5, 0), (9, 64, -22)]
      as [(UInt64, UInt32, Int64)]
    {
      h.put(port)
      #expect(operation(op) == result, "operation \(op), port \(port)")
    }
    h.put(UInt32(0))
    h.put(UInt32(0), 4)
    #expect(operation(2) == -1)
    h.put(UInt32(100_000))
    #expect(operation(2) == -22)
    h.put(UInt16(0), 0)
    #expect(operation(0) == -22)
    h.put(UInt16(9), 0)
    #expect(operation(0) == -3)
    #expect(operation(6) == -3)
    #expect(operation(5) == -3)
    h.put(UInt16(0), 0)
    #expect(operation(5) == -1)
    h.put(UInt16(0x7FF0), 0)
    h.put(UInt32(60), 4)
    #expect(operation(5) == 0)
    #expect(h.get(8, UInt32.self) == 0)
    h.put(UInt32(64), 4)
    #expect(operation(5) == -22)
    h.put(UInt64(20), 0)
    h.put(UInt32(12), 8)
    h.put(UInt32(0), 12)
    #expect(operation(11) == -22)
    h.put(UInt32(8), 8)
    #expect(operation(11) == -38)
    h.put(UInt32(2), 12)
    #expect(operation(11) == -2)
    #expect(operation(12) == -95)
    #expect(operation(14) == -1)
    #expect(operation(15) == -38)
    #expect(h.call(32, 6, 0xDEAD_0000) == -14)
    // A port whose number cannot be handed over is not lost.
    #expect(h.domain.events.ports.filter { $0.state != .closed }.count == 1)
  }

  @Test func resetClosesEverything() {
    _ = allocate()
    #expect(bindVIRQ(0, 0) == 0)
    h.put(UInt16(0x7FF0))
    #expect(operation(10) == 0)
    #expect(h.domain.events.ports.allSatisfy { $0.state == .closed || $0.state == .reserved })
    #expect(bindVIRQ(0, 0) == 0)
  }
}
