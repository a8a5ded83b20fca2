import Devices

/// At most one event of a device's on the board's queue, which the device moves about: a timer's next interrupt. Part of the
/// device's saved state, as the queue is part of the board's.
public struct Appointment: Codable, Equatable {
  /// 0 while nothing is queued.
  private var identity: UInt64 = 0
  /// When it is due, while something is queued.
  private var due: Cycles = 0

  public init() {}

  public var isMade: Bool { identity != 0 }

  /// Moves the event to a cycle, or takes it off the queue for nil.
  public mutating func move(to cycle: Cycles?, on board: Board, target: EventQueue.Target, payload: UInt64 = 0) {
    if identity != 0 {
      if due == cycle { return }
      board.cancel(identity)
      identity = 0
    }
    guard let cycle else { return }
    identity = board.schedule(at: cycle, target: target, payload: payload)
    due = cycle
  }

  /// To be called first when the event has come.
  public mutating func kept() { identity = 0 }
}
