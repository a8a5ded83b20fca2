import CHost
import Processor
import Testing

@testable import Hypervisor

struct SchedulingTests {
  let h: EventsHarness
  init() throws { h = try EventsHarness(vcpus: 2) }

  private func boundPort() -> UInt32 {
    let port = h.domain.events.allocateUnbound(remote: .control)
    _ = h.domain.events.bindBackEnd(port: port, tag: 0)
    return port
  }

  @Test func blockSleepsUntilAnEvent() {
    let port = boundPort()
    #expect(h.call(29, 1) == 0)
    #expect(h.v.blocked)
    #expect(h.v.upcallMask == 0)
    h.domain.deliverPendingUpcall(h.v)
    h.domain.events.notifyGuest(port: port)
    #expect(!h.v.blocked)
    h.v.upcallMask = 1
    #expect(h.call(29, 1) == 0)
    #expect(!h.v.blocked)
  }

  @Test func aMaskedPortDoesNotWake() {
    let port = boundPort()
    h.setShared(0xA00, UInt64.max)
    h.call(29, 1)
    h.domain.events.notifyGuest(port: port)
    #expect(h.v.blocked)
  }

  @Test func pollWakesOnItsPortOrItsTime() {
    let port = boundPort()
    h.setShared(0xA00, UInt64.max)
    func poll(_ timeout: UInt64, count: UInt32 = 1) -> Int64 {
      h.put(EventsHarness.scratch + 0x100, 0)
      h.put(count, 8)
      h.put(timeout, 16)
      h.put(port, 0x100)
      return h.call(29, 3, EventsHarness.scratch)
    }
    #expect(poll(5000) == 0)
    #expect(h.v.polling && h.v.blocked)
    #expect(h.services.timers == ["0.poll": 5000])
    h.domain.events.notifyGuest(port: port)
    #expect(!h.v.polling && !h.v.blocked)
    #expect(h.services.timers.isEmpty)
    // Pending already: no sleep, and the bit stays.
    #expect(poll(0) == 0)
    #expect(!h.v.blocked)
    #expect(h.domain.events.isPending(port))
    h.setShared(0x800, UInt64(0))
    #expect(poll(5000) == 0)
    h.domain.timerFired(vcpu: 0, kind: .poll)
    #expect(!h.v.blocked)
    h.services.now = 6000
    #expect(poll(5000) == 0)
    #expect(!h.v.blocked)
    #expect(poll(0, count: 0) == 0)
    #expect(poll(0, count: 129) == -22)
    h.put(UInt64(0xDEAD_0000), 0)
    h.put(UInt32(1), 8)
    #expect(h.call(29, 3, EventsHarness.scratch) == -14)
    h.put(EventsHarness.scratch + 0x100, 0)
    h.put(UInt32(50_000), 0x100)
    #expect(h.call(29, 3, EventsHarness.scratch) == -22)
  }

  @Test func shutdownEndsTheDomain() {
    #expect(h.call(29, 2, 0xDEAD_0000) == -14)
    h.put(UInt32(1))
    #expect(h.call(29, 2, EventsHarness.scratch) == 0)
    #expect(h.domain.ended == .shutdown(reason: 1))
    h.put(UInt32(0))
    h.call(29, 2, EventsHarness.scratch)
    #expect(h.domain.ended == .shutdown(reason: 1))
  }

  @Test func theWatchdogBites() {
    func watchdog(_ id: UInt32, _ seconds: UInt32) -> Int64 {
      h.put(id, 0)
      h.put(seconds, 4)
      return h.call(29, 6, EventsHarness.scratch)
    }
    #expect(watchdog(0, 10) == 1)
    #expect(watchdog(0, 20) == 2)
    #expect(watchdog(0, 30) == -28)
    #expect(h.services.timers == ["0.watchdog": 10_000_000_000])
    #expect(watchdog(1, 0) == 0)
    #expect(h.services.timers == ["0.watchdog": 20_000_000_000])
    #expect(watchdog(9, 0) == -22)
    h.services.now = 19_000_000_000
    h.domain.timerFired(vcpu: 0, kind: .watchdog)
    #expect(h.domain.ended == nil)
    h.services.now = 20_000_000_000
    h.domain.timerFired(vcpu: 0, kind: .watchdog)
    #expect(h.domain.ended == .shutdown(reason: 4))
  }

  @Test func refusals() {
    #expect(h.call(29, 0) == 0)
    #expect(h.call(29, 7) == -1)
    #expect(h.call(29, 8) == -38)
    h.put(UInt16(9))
    #expect(h.call(29, 4, EventsHarness.scratch) == -3)
    #expect(h.call(6, 0) == 0)
    #expect(h.call(6, 9) == -38)
    #expect(h.call(24, 3, 0) == 1)
    #expect(h.call(24, 3, 2) == -2)
    #expect(h.call(24, 99, 9) == -2)
    #expect(h.call(24, 99, 0) == -38)
    #expect(h.call(24, 12, 0) == -22)
    #expect(h.call(24, 14, 0) == -38)
    #expect(h.call(24, 8, 1, EventsHarness.scratch) == -22)
    #expect(h.call(24, 9, 1) == -22)
    #expect(h.call(24, 7, 1) == 0)
    h.domain.vcpus[1].initialised = false
    h.domain.vcpus[1].up = false
    #expect(h.call(24, 1, 1) == -22)
    #expect(h.call(24, 3, 1) == 0)
    #expect(h.call(24, 0, 0, EventsHarness.scratch) == -17)
  }

  @Test func theLastVCPUDownTakesTheDomainAlong() {
    #expect(h.call(24, 2, 1) == 0)
    #expect(h.domain.ended == nil)
    #expect(h.call(24, 2, 0) == 0)
    #expect(h.domain.ended == .shutdown(reason: 0))
  }

  @Test func nonMaskableInterruptsWaitForTheLastToEnd() {
    h.handler(2, 0x9000)
    #expect(h.call(24, 11, 0) == 0)
    h.cpu.pointee.rip = 0x7777
    h.domain.deliverPendingUpcall(h.v)
    #expect(h.cpu.pointee.rip == 0x9000)
    #expect(h.frame(2) == 0x7777)
    #expect(h.frame(3) == 0x1_0000_E030)
    #expect(h.call(24, 11, 0) == 0)
    h.cpu.pointee.rip = 0x9004
    h.domain.deliverPendingUpcall(h.v)
    #expect(h.cpu.pointee.rip == 0x9004)
  }
}
