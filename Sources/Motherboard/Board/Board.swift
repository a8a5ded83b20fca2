import Devices
import GuestMemory

/// What the devices of a PC stand on: the port and memory maps, the clock with its queue of events, and the few wires that leave
/// the board. Used from the vCPU's thread.
public final class Board {
  /// Physical memory, for DMA.
  public let memory: MachineMemory
  public let cyclesPerSecond: UInt64
  /// Nanoseconds since 1970 at cycle 0.
  public let startTime: UInt64
  public internal(set) var queue = EventQueue()

  /// What a board tells the machine it is part of. All are called on the vCPU's thread.
  public struct Outside {
    /// The current cycle.
    public var now: () -> Cycles = { 0 }
    /// An event earlier than all before it was scheduled: a running stretch of guest code must end by then.
    public var deadlineMoved: (Cycles) -> Void = { _ in }
    /// The access that the processor makes takes it so many cycles beyond the instruction's own.
    public var accessTakes: (Cycles) -> Void = { _ in }
    /// A window of device memory appeared (true) or went (false).
    public var memoryClaimed: (Range<UInt64>, Bool) -> Void = { _, _ in }
    /// Whether the machine has frames in a window that nothing is in, neither RAM nor ROM: a device may keep its memory there.
    public var hasSpareFrames: (Range<UInt64>) -> Bool = { _ in false }
    /// The A20 gate opened or closed.
    public var addressLine20: (Bool) -> Void = { _ in }
    /// The whole machine is to be reset after this instruction.
    public var reset: () -> Void = {}
    /// The guest switched itself off.
    public var powerOff: () -> Void = {}
    /// The guest ended the run with a status of its own (the debug-exit port).
    public var exit: (UInt8) -> Void = { _ in }
    /// Paravane's own words, when it is verbose.
    public var log: (String) -> Void = { _ in }
    /// Under `--clock host`: tell the machine, from any thread, that the host is done; the event with this identity (as from
    /// `Board.identity(of:payload:)`) is then dispatched on the vCPU's thread. nil under `--clock virtual`.
    public var hostIsDone: (@Sendable (UInt64) -> Void)?
    public init() {}
  }
  public var outside = Outside()

  public init(memory: MachineMemory, cyclesPerSecond: UInt64, startTime: UInt64) {
    self.memory = memory
    self.cyclesPerSecond = cyclesPerSecond
    self.startTime = startTime
    portOwners = Array(repeating: 0, count: 65536)
  }

  // MARK: - Time

  public var now: Cycles { outside.now() }

  private var eventHandlers: [any EventHandler] = []

  /// Gives a device its number on the event queue; in the order of assembly, so equal machines have equal numbers.
  public func register(_ handler: any EventHandler) -> EventQueue.Target {
    eventHandlers.append(handler)
    return EventQueue.Target(truncatingIfNeeded: eventHandlers.count - 1)
  }

  /// Schedules an event, not before now; its identity is for `cancel`.
  @discardableResult public func schedule(at cycle: Cycles, target: EventQueue.Target, payload: UInt64 = 0) -> UInt64 {
    let due = max(cycle, now)
    let isFirst = queue.nextDue.map { due < $0 } ?? true
    let identity = queue.schedule(at: due, target: target, payload: payload)
    if isFirst { outside.deadlineMoved(due) }
    return identity
  }

  public func cancel(_ identity: UInt64) { queue.cancel(identity) }

  /// Does all that is due now.
  public func dispatchDue() {
    while let event = queue.pop(dueAt: now) { dispatch(event.target, event.payload, at: event.cycle) }
  }

  private func dispatch(_ target: EventQueue.Target, _ payload: UInt64, at cycle: Cycles) {
    guard eventHandlers.indices.contains(Int(target)) else { return }
    eventHandlers[Int(target)].event(payload, at: cycle)
  }

  /// One word for an event that the host's completion of a request brings about.
  ///
  /// - Parameter payload: below 2^48.
  public static func identity(of target: EventQueue.Target, payload: UInt64) -> UInt64 { UInt64(target) << 48 | payload & (1 << 48 - 1) }

  /// The host is done: dispatches the event.
  public func hostCompleted(_ identity: UInt64) {
    dispatch(EventQueue.Target(truncatingIfNeeded: identity >> 48), identity & (1 << 48 - 1), at: now)
  }

  /// Cycles in a number of ticks of a clock with `hertz`, rounded up; through 128 bits.
  public func cycles(ofTicks ticks: UInt64, at hertz: UInt64) -> Cycles {
    let product = ticks.multipliedFullWidth(by: cyclesPerSecond)
    guard hertz > 0, product.high < hertz else { return .max / 2 }
    let (quotient, remainder) = hertz.dividingFullWidth(product)
    return quotient &+ (remainder > 0 ? 1 : 0)
  }

  /// Whole ticks of a clock with `hertz` in a number of cycles.
  public func ticks(ofCycles cycles: Cycles, at hertz: UInt64) -> UInt64 {
    let product = cycles.multipliedFullWidth(by: hertz)
    guard cyclesPerSecond > 0, product.high < cyclesPerSecond else { return .max }
    return cyclesPerSecond.dividingFullWidth(product).quotient
  }

  // MARK: - Ports

  private struct PortClaim {
    var handler: any PortHandler
    var width: Int
  }
  /// Claims by number less 1; 0 in `portOwners` is nobody.
  private var portClaims: [PortClaim] = []
  private var portOwners: [UInt8]

  /// What is claimed, in the order of claiming: of two claims of a port the later wins, until it is released.
  private var portMap: [(ports: ClosedRange<UInt16>, number: Int)] = []

  /// Gives ports to a device; from another that has them, until they are released.
  ///
  /// - Parameter width: the widest access that the device takes whole, 1, 2 or 4; a wider one is split, each part going to whoever
  ///   owns its port.
  public func claimPorts(_ ports: ClosedRange<UInt16>, width: Int, by handler: any PortHandler) {
    var number = portClaims.firstIndex { $0.handler === handler && $0.width == width }
    if number == nil {
      // A claim whose ports all went may be taken over, so that moving BARs never run out of numbers.
      let inUse = portClaims.count >= 254 ? Set(portMap.map(\.number)) : []
      if let free = portClaims.indices.first(where: { portClaims.count >= 254 && !inUse.contains($0) }) {
        portClaims[free] = PortClaim(handler: handler, width: width)
        number = free
      } else {
        guard portClaims.count < 254 else { return }
        portClaims.append(PortClaim(handler: handler, width: width))
        number = portClaims.count - 1
      }
    }
    guard let number else { return }
    portMap.append((ports, number))
    for port in ports { portOwners[Int(port)] = UInt8(number + 1) }
  }

  /// Takes ports away from a device, where it has them. Whoever had them before has them again: a function that software put over
  /// the ports of another does not do away with it.
  public func releasePorts(_ ports: ClosedRange<UInt16>, by handler: any PortHandler) {
    portMap = portMap.flatMap { claim -> [(ports: ClosedRange<UInt16>, number: Int)] in
      guard portClaims[claim.number].handler === handler, claim.ports.overlaps(ports) else { return [claim] }
      var rest: [(ports: ClosedRange<UInt16>, number: Int)] = []
      if claim.ports.lowerBound < ports.lowerBound { rest.append((claim.ports.lowerBound...ports.lowerBound - 1, claim.number)) }
      if claim.ports.upperBound > ports.upperBound { rest.append((ports.upperBound + 1...claim.ports.upperBound, claim.number)) }
      return rest
    }
    for port in ports { portOwners[Int(port)] = 0 }
    for claim in portMap where claim.ports.overlaps(ports) {
      for port in claim.ports.clamped(to: ports) { portOwners[Int(port)] = UInt8(claim.number + 1) }
    }
  }

  /// The device that takes an access of this size at a port whole.
  private func portHandler(_ port: UInt16, _ size: Int) -> (any PortHandler)? {
    let owner = portOwners[Int(port)]
    guard owner != 0, size <= portClaims[Int(owner) - 1].width else { return nil }
    return portClaims[Int(owner) - 1].handler
  }

  /// IN. A port without owner reads all ones.
  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    if let handler = portHandler(port, size) { return handler.readPort(port, size: size) & mask(size) }
    if size == 1 { return 0xFF }
    let half = size / 2
    let low = readPort(port, size: half)
    return low | readPort(port &+ UInt16(half), size: half) << UInt32(half * 8)
  }

  /// OUT. A port without owner swallows it.
  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    if let handler = portHandler(port, size) { return handler.writePort(port, size: size, value: value & mask(size)) }
    if size == 1 { return }
    let half = size / 2
    writePort(port, size: half, value: value & mask(half))
    writePort(port &+ UInt16(half), size: half, value: value >> UInt32(half * 8))
  }

  /// REP INS: the number of elements done at once, or 0.
  public func readPort(_ port: UInt16, size: Int, into elements: UnsafeMutableRawBufferPointer) -> Int {
    portHandler(port, size)?.readPort(port, size: size, into: elements) ?? 0
  }

  /// REP OUTS: the number of elements done at once, or 0.
  public func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int {
    portHandler(port, size)?.writePort(port, size: size, from: elements) ?? 0
  }

  private func mask(_ size: Int) -> UInt32 { size == 4 ? .max : size == 2 ? 0xFFFF : 0xFF }

  // MARK: - Memory windows

  private struct Window {
    var range: Range<UInt64>
    var handler: any MemoryHandler
  }
  /// In the order of claiming; the last claim of an address wins, as with overlapping BARs.
  private var windows: [Window] = []

  /// Gives a window of physical memory to a device.
  public func claimMemory(_ range: Range<UInt64>, by handler: any MemoryHandler) {
    guard !range.isEmpty else { return }
    let isAlone = !hasMemory(range)
    windows.append(Window(range: range, handler: handler))
    outside.memoryClaimed(range, true)
    if isAlone, let handler = handler as? any FrameBackedMemory, outside.hasSpareFrames(range) {
      handler.windowOpened(at: range.lowerBound, in: memory)
    }
  }

  /// Takes a window away again; `range` as claimed.
  public func releaseMemory(_ range: Range<UInt64>, by handler: any MemoryHandler) {
    guard let index = windows.lastIndex(where: { $0.range == range && $0.handler === handler }) else { return }
    windows.remove(at: index)
    (handler as? any FrameBackedMemory)?.windowClosed()
    outside.memoryClaimed(range, false)
  }

  /// Whether a device owns any byte of a range.
  public func hasMemory(_ range: Range<UInt64>) -> Bool { windows.contains { $0.range.overlaps(range) } }

  /// A load from device memory; all ones where nobody answers.
  public func readMemory(_ address: UInt64, size: Int) -> UInt64 {
    guard let window = windows.last(where: { $0.range.contains(address) }) else { return size >= 8 ? .max : (1 << UInt64(size * 8)) - 1 }
    let value = window.handler.readMemory(address - window.range.lowerBound, size: size)
    return size >= 8 ? value : value & ((1 << UInt64(size * 8)) - 1)
  }

  /// A store to device memory.
  public func writeMemory(_ address: UInt64, size: Int, value: UInt64) {
    guard let window = windows.last(where: { $0.range.contains(address) }) else { return }
    window.handler.writeMemory(address - window.range.lowerBound, size: size, value: value)
  }
}
