import Random
import Testing

@testable import Hypervisor

struct TimeTests {
  @Test func scalesOfRoundFrequencies() {
    let one = TimeScale(cyclesPerSecond: 1_000_000_000)
    #expect(one.shift == 1 && one.multiplier == 0x8000_0000)
    #expect(one.nanoseconds(123_456_789_012) == 123_456_789_012)
    let two = TimeScale(cyclesPerSecond: 2_000_000_000)
    #expect(two.shift == 0 && two.multiplier == 0x8000_0000)
    let four = TimeScale(cyclesPerSecond: 4_000_000_000)
    #expect(four.shift == -1 && four.multiplier == 0x8000_0000)
    #expect(four.nanoseconds(4_000_000_001) == 1_000_000_000)
  }

  /// A timer must not fire before the guest's own clock shows its time, nor later than the first cycle that does.
  @Test(arguments: [1_000_000_000, 999_999_999, 2_893_202_000, 3_000_000_000, 100_000_000, 1_193_182] as [UInt64])
  func cyclesAreTheFirstThatShowATime(frequency: UInt64) {
    let scale = TimeScale(cyclesPerSecond: frequency)
    var random = SeededRandom(seed: 1)
    for _ in 0..<2000 {
      let time = random.next() >> (8 + random.below(32))
      let cycle = scale.cycles(time)
      #expect(scale.nanoseconds(cycle) >= time)
      if cycle > 0 { #expect(scale.nanoseconds(cycle - 1) < time) }
    }
    #expect(scale.nanoseconds(frequency) >= 999_999_998)
    #expect(scale.nanoseconds(frequency) <= 1_000_000_000)
  }

  @Test func extremesSaturate() {
    let slow = TimeScale(cyclesPerSecond: 1000)
    #expect(slow.nanoseconds(.max) == .max)
    let fast = TimeScale(cyclesPerSecond: 8_000_000_000)
    #expect(fast.cycles(.max) == .max)
    #expect(TimeScale(cyclesPerSecond: 0) == TimeScale(cyclesPerSecond: 1_000_000_000))
  }

  @Test func theClockIsInSharedInfoFromTheStart() throws {
    let h = try EventsHarness()
    #expect(h.shared(0x20, UInt32.self) == 2)
    #expect(h.shared(0x38, UInt32.self) == 0x8000_0000)
    #expect(h.shared(0x3C, Int8.self) == 1)
    #expect(h.shared(0xC00, UInt32.self) == 2)
    #expect(h.shared(0xC04, UInt32.self) == 1_767_225_600)
    #expect(h.shared(0xC08, UInt32.self) == 123_456_789)
    for vcpu in 0..<32 { #expect(h.shared(UInt64(vcpu) * 64 + 1, UInt8.self) == 1) }
  }

  @Test func singleShotTimers() throws {
    let h = try EventsHarness()
    h.put(UInt32(0), 0)
    h.put(UInt32(0), 4)
    #expect(h.call(32, 1, EventsHarness.scratch) == 0)
    let port: UInt32 = h.get(8)
    h.put(UInt64(5000), 0)
    h.put(UInt32(0), 8)
    #expect(h.call(24, 8, 0, EventsHarness.scratch) == 0)
    #expect(h.services.timers == ["0.singleShot": 5000])
    #expect(h.call(24, 9, 0, 0) == 0)
    #expect(h.services.timers.isEmpty)
    h.services.now = 9000
    #expect(h.call(24, 8, 0, EventsHarness.scratch) == 0)
    #expect(h.services.timers == ["0.singleShot": 9000])
    h.domain.timerFired(vcpu: 0, kind: .singleShot)
    #expect(h.domain.events.isPending(port))
  }

  @Test func setTimerOpTakesAbsurdTimesForMistakes() throws {
    let h = try EventsHarness()
    h.services.now = 1000
    #expect(h.call(15, 7000) == 0)
    #expect(h.services.timers == ["0.singleShot": 7000])
    #expect(h.call(15, 0) == 0)
    #expect(h.services.timers.isEmpty)
    #expect(h.call(15, 1 << 62) == 0)
    #expect(h.services.timers == ["0.singleShot": 100_001_000])
    #expect(h.call(15, .max) == 0)
    #expect(h.services.timers == ["0.singleShot": 100_001_000])
    #expect(h.call(15, 10) == 0)
    #expect(h.services.timers == ["0.singleShot": 1000])
  }

  @Test func periodicTimersRearm() throws {
    let h = try EventsHarness()
    h.put(UInt64(999_999))
    #expect(h.call(24, 6, 0, EventsHarness.scratch) == -22)
    h.put(UInt64(10_000_000))
    #expect(h.call(24, 6, 0, EventsHarness.scratch) == 0)
    #expect(h.services.timers == ["0.periodic": 10_000_000])
    h.services.now = 10_000_000
    h.domain.timerFired(vcpu: 0, kind: .periodic)
    #expect(h.services.timers == ["0.periodic": 20_000_000])
    #expect(h.call(24, 7, 0, 0) == 0)
    #expect(h.services.timers.isEmpty)
  }

  @Test func vcpuInfoMovesWithEverythingPending() throws {
    let h = try EventsHarness()
    h.setShared(0x10, UInt64(0x77))
    h.put(UInt64(20), 0)
    h.put(UInt32(4), 8)
    #expect(h.call(24, 10, 0, EventsHarness.scratch) == -6)
    h.put(UInt32(4040), 8)
    #expect(h.call(24, 10, 0, EventsHarness.scratch) == -6)
    h.put(UInt32(0x80), 8)
    h.put(UInt64(0xFFFF_FFFF), 0)
    #expect(h.call(24, 10, 0, EventsHarness.scratch) == -22)
    h.put(UInt64(20), 0)
    #expect(h.call(24, 10, 9, EventsHarness.scratch) == -2)
    #expect(h.call(24, 10, 0, EventsHarness.scratch) == 0)
    #expect(h.call(24, 10, 0, EventsHarness.scratch) == -22)
    let info: UInt64 = 20 << 12 + 0x80
    let memory = h.domain.memory
    #expect(memory.load(info, as: UInt16.self) == 0x0101)
    #expect(memory.load(info + 8, as: UInt64.self) == .max)
    #expect(memory.load(info + 0x10, as: UInt64.self) == 0x77)
    #expect(memory.load(info + 0x20, as: UInt32.self) == 4)
    h.handler(14, EventsHarness.code)
    h.cpu.pointee.cr2 = 0x99
    h.domain.handle(.exception(vector: 14, errorCode: 0), h.v)
    #expect(memory.load(info + 0x10, as: UInt64.self) == 0x99)
    #expect(h.shared(0x10, UInt64.self) == 0x77)
  }

  @Test func runstateAreas() throws {
    let h = try EventsHarness()
    h.services.now = 500
    h.put(EventsHarness.scratch + 0x200, 0)
    #expect(h.call(24, 5, 0, EventsHarness.scratch) == 0)
    #expect(h.get(0x200, UInt64.self) == 0)
    #expect(h.get(0x208, UInt64.self) == 500)
    #expect(h.get(0x210, UInt64.self) == 500)
    #expect(h.call(29, 1) == 0)
    h.services.now = 1500
    #expect(h.v.blocked)
    h.domain.wake(h.v)
    #expect(h.get(0x220, UInt64.self) == 1000)
    #expect(h.get(0x208, UInt64.self) == 1500)
    h.put(UInt64(0xDEAD_0000), 0)
    #expect(h.call(24, 5, 0, EventsHarness.scratch) == 0)
    #expect(h.call(24, 5, 0, 0xDEAD_0000) == -14)
  }

  @Test func timeAreasAreCopies() throws {
    let h = try EventsHarness()
    h.put(EventsHarness.scratch + 0x300, 0)
    #expect(h.call(24, 13, 0, EventsHarness.scratch) == 0)
    #expect(h.get(0x318, UInt32.self) == 0x8000_0000)
    #expect(h.get(0x31D, UInt8.self) == 1)
  }
}
