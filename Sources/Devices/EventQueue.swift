/// A number of guest cycles, or a point on the virtual clock.
public typealias Cycles = UInt64

/// Future work in guest time. Events due at one cycle come out in the order in which they were scheduled, so a run never
/// depends on anything but its inputs.
///
/// An event is a value (who, and one word of payload), not a closure: a queue can be saved.
public struct EventQueue: Codable, Sendable {
  /// Who handles an event: a number that the machine gave the device when it was put together.
  public typealias Target = UInt32

  public struct Event: Codable, Sendable, Equatable {
    public var cycle: Cycles
    public var sequence: UInt64
    public var target: Target
    public var payload: UInt64
  }

  private var heap: [Event] = []
  private var sequence: UInt64 = 0

  public init() {}

  /// The cycle of the earliest event, or nil.
  public var nextDue: Cycles? { heap.first?.cycle }
  public var isEmpty: Bool { heap.isEmpty }
  public var count: Int { heap.count }

  /// Schedules an event and returns its identity for `cancel`.
  @discardableResult public mutating func schedule(at cycle: Cycles, target: Target, payload: UInt64 = 0) -> UInt64 {
    sequence += 1
    heap.append(Event(cycle: cycle, sequence: sequence, target: target, payload: payload))
    siftUp(heap.count - 1)
    return sequence
  }

  /// Removes an event by identity; false if it is no longer queued. O(n).
  @discardableResult public mutating func cancel(_ identity: UInt64) -> Bool {
    guard let index = heap.firstIndex(where: { $0.sequence == identity }) else { return false }
    heap.swapAt(index, heap.count - 1)
    heap.removeLast()
    if index < heap.count {
      siftDown(index)
      siftUp(index)
    }
    return true
  }

  /// Takes the earliest event that is due at or before `now`.
  public mutating func pop(dueAt now: Cycles) -> Event? {
    guard let first = heap.first, first.cycle <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    if !heap.isEmpty { siftDown(0) }
    return first
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    (heap[a].cycle, heap[a].sequence) < (heap[b].cycle, heap[b].sequence)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard precedes(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) { least = child }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
