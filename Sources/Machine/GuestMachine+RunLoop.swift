import Devices
import Processor

// The run loop: due events, outside input, one stretch of guest code, what became of it; and the passing of idle time.

extension GuestMachine {
  /// Runs the guest to its end.
  public func run() -> Outcome {
    begin()
    while advance(to: .max) != .ended {}
    return finish()
  }

  /// Ties the clocks together before the guest's first instruction.
  func begin() {
    nextSlice = vcpu.now
    keeper.tie(cycle: vcpu.now, to: monotonicNanoseconds())
  }

  /// Why the run loop stands still.
  enum Pause: Equatable {
    case ended
    /// The limit's cycle has come.
    case limit
    /// The guest waits for its next event (nil: for the outside alone), and `isStepped` leaves the passing of time to the caller.
    case waiting(due: Cycles?)
  }

  /// Runs until the limit's cycle, or past it where the guest sleeps over it.
  func advance(to limit: Cycles) -> Pause {
    while true {
      if let pause = prepare(limit) { return pause }
      execute(limit)
    }
  }

  /// Does everything that is due before guest code runs; nil when that is next.
  @inline(__always) func prepare(_ limit: Cycles) -> Pause? {
    while !hasEnded && endedBy == nil {
      if vcpu.now >= limit { return .limit }
      if vcpu.now >= nextSlice { beginSlice() }
      dispatchDue()
      if hasEnded || endedBy != nil { break }
      if isWaiting {
        if isStepped && (liveOutside || nextDue == nil) { return .waiting(due: nextDue) }
        idle()
        continue
      }
      deliverPending()
      return hasEnded ? .ended : nil
    }
    return .ended
  }

  /// Runs guest code until something happens or the limit's cycle comes, and does what the guest asks for.
  @inline(__always) func execute(_ limit: Cycles) {
    let exit = runGuest(vcpu, min(nextDue ?? .max, nextSlice, limit))
    runs &+= 1
    if exit != .deadline { handle(exit) }
  }

  /// Lets a guest that waits sleep until a cycle, or until what the mailbox holds wakes it.
  func sleep(until cycle: Cycles) {
    if cycle > vcpu.now { pass(cycle - vcpu.now) }
    takeInputs()
  }

  @inline(__always) func runGuest(_ vcpu: VCPU, _ cycle: Cycles) -> Exit {
    injectedFault == nil ? vcpu.run(until: cycle) : runGuestWithFault(vcpu, cycle)
  }

  /// As an engine that is wrong about one instruction would run it.
  @inline(never) private func runGuestWithFault(_ vcpu: VCPU, _ cycle: Cycles) -> Exit {
    guard let fault = injectedFault, cycle >= vcpu.now &+ fault.shortestRun else { return vcpu.run(until: cycle) }
    while vcpu.instructions < fault.instruction {
      let there = vcpu.now &+ (fault.instruction &- vcpu.instructions)
      guard there <= cycle else { return vcpu.run(until: cycle) }
      let exit = vcpu.run(until: there)
      if vcpu.instructions >= fault.instruction { fault.corrupt(vcpu.cpu) }
      if exit != .deadline || vcpu.now >= cycle { return exit }
    }
    return vcpu.run(until: cycle)
  }

  /// At fixed cycles: guest time is pinned to real time (`--clock host`) and the mailbox is emptied.
  private func beginSlice() {
    if options.clock == .host {
      let real = keeper.cycle(at: monotonicNanoseconds())
      if real > vcpu.now { vcpu.advance(cycles: real - vcpu.now) }
    }
    publishedClock.nanoseconds = Int64(truncatingIfNeeded: scale(vcpu.now, 1_000_000_000, options.cyclesPerSecond))
    takeInputs()
    nextSlice = (vcpu.now / sliceCycles + 1) * sliceCycles
  }

  /// Guest wall-clock time in nanoseconds since 1970.
  var wallClock: UInt64 { options.startTime &+ scale(vcpu.now, 1_000_000_000, options.cyclesPerSecond) }

  func takeInputs() {
    let inputs = mailbox.takeAll()
    guard !inputs.isEmpty else { return }
    beginInputs()
    for input in inputs { take(input) }
    endInputs()
  }

  private func take(_ input: OutsideInput) {
    switch input {
    case .console(let bytes): feedConsole(bytes)
    case .packet(let vif, let frame): receivePacket(vif: vif, frame: frame)
    case .diskCompletion(let token): backEndCompletion(token)
    case .monitor(let request): answer(request)
    case .timeout: endedBy = .timeout
    case .leave: endedBy = .poweroff
    case .signal(let number):
      signals += 1
      signalNumber = number
      if signals > 1 || !askForPowerOff() { endedBy = .signal }
    }
  }

  /// The guest waits. Without anything outside that could wake it, the clock jumps to the next event; else time passes at
  /// real speed until then, or until something comes in.
  private func idle() {
    let now = vcpu.now
    let due = nextDue
    if !paced, let due {
      if due > now { pass(due - now) }
      takeInputs()
      return
    }
    takeInputs()
    guard isWaiting, !hasEnded, endedBy == nil else { return }
    if due == nil && !paced { logger("the guest waits for something that only the outside can bring") }
    if options.clock == .virtual { keeper.tie(cycle: now, to: monotonicNanoseconds()) }
    mailbox.wait(until: due.map { keeper.realTime(of: $0) })
    let real = keeper.cycle(at: monotonicNanoseconds())
    let target = min(real, due ?? .max)
    if target > now { pass(target - now) }
    takeInputs()
  }

  private func pass(_ cycles: Cycles) {
    vcpu.advance(cycles: cycles)
    idleCycles &+= cycles
  }

  /// Whether idle time passes at real speed.
  private var paced: Bool { options.clock == .host || liveOutside }

  func finish() -> Outcome {
    close()
    monitor?.stop()
    let outcome = makeOutcome()
    collectStatistics(outcome)
    return outcome
  }

  private func makeOutcome() -> Outcome {
    switch endedBy {
    case nil: return platformOutcome()
    case .timeout: return Outcome(ending: .timeout, status: 124, report: "paravane: gave up after --timeout\n")
    case .signal: return Outcome(ending: .signal, status: 128 + signalNumber)
    case let ending?: return Outcome(ending: ending, status: 0)
    }
  }
}
