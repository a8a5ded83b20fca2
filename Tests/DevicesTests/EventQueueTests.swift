import Foundation
import Testing

@testable import Devices

struct EventQueueTests {
  @Test func eventsComeOutByCycleThenInTheirOrder() {
    var queue = EventQueue()
    for (cycle, payload) in [(30, 1), (10, 2), (30, 3), (20, 4), (10, 5), (30, 6)] as [(UInt64, UInt64)] {
      queue.schedule(at: cycle, target: 7, payload: payload)
    }
    #expect(queue.count == 6 && queue.nextDue == 10)
    let early = queue.pop(dueAt: 9)
    #expect(early == nil)
    var payloads: [UInt64] = []
    while let event = queue.pop(dueAt: 30) {
      #expect(event.target == 7)
      payloads.append(event.payload)
    }
    #expect(payloads == [2, 5, 4, 1, 3, 6])
    let none = queue.pop(dueAt: .max)
    #expect(queue.isEmpty && queue.nextDue == nil && none == nil)
  }

  @Test func aCancelledEventIsGoneOnce() {
    var queue = EventQueue()
    let first = queue.schedule(at: 5, target: 1)
    let second = queue.schedule(at: 5, target: 2)
    #expect(first != second)
    let results = [queue.cancel(first), queue.cancel(first)]
    #expect(results == [true, false])
    let popped = queue.pop(dueAt: 5)
    #expect(popped?.target == 2)
    let late = [queue.cancel(second), queue.cancel(12345)]
    #expect(late == [false, false])
  }

  @Test func theEndOfTimeIsACycleLikeAnother() {
    var queue = EventQueue()
    queue.schedule(at: .max, target: 1)
    let early = queue.pop(dueAt: .max - 1)
    let last = queue.pop(dueAt: .max)
    #expect(early == nil && last?.cycle == .max)
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func itAgreesWithASortedList(seed: UInt64) throws {
    var state = seed
    func random(_ limit: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % limit
    }
    var queue = EventQueue()
    var model: [EventQueue.Event] = []
    for step in 0..<4000 {
      switch random(5) {
      case 0, 1, 2:
        let (cycle, target) = (random(50), UInt32(random(9)))
        let identity = queue.schedule(at: cycle, target: target, payload: UInt64(step))
        let event = EventQueue.Event(cycle: cycle, sequence: identity, target: target, payload: UInt64(step))
        let place = model.firstIndex { $0.cycle > cycle } ?? model.count
        model.insert(event, at: place)
      case 3:
        let identity = model.isEmpty || random(8) == 0 ? UInt64(1 << 40) : model[Int(random(UInt64(model.count)))].sequence
        let known = model.firstIndex { $0.sequence == identity }
        let cancelled = queue.cancel(identity)
        try #require(cancelled == (known != nil))
        if let known { model.remove(at: known) }
      default:
        let now = random(50)
        let wanted = model.first.flatMap { $0.cycle <= now ? $0 : nil }
        if wanted != nil { model.removeFirst() }
        let popped = queue.pop(dueAt: now)
        try #require(popped == wanted)
      }
      try #require(queue.count == model.count && queue.nextDue == model.first?.cycle)
    }
    // A saved queue goes on as the one it was saved from.
    var restored = try JSONDecoder().decode(EventQueue.self, from: JSONEncoder().encode(queue))
    while let event = queue.pop(dueAt: .max) {
      let other = restored.pop(dueAt: .max)
      try #require(other == event)
    }
    #expect(restored.isEmpty)
  }
}
