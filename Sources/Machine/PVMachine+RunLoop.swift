import CHost
import Devices
import Hypervisor
import Processor

// The run loop: due events, outside input, one stretch of guest code, what became of it; and the passing of idle time.

extension PVMachine {
  /// Runs the guest to its end.
  public func run() -> Outcome {
    begin()
    while advance(to: .max) != .ended {}
    return finish(domain.vcpus[0])
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
    let v = domain.vcpus[0]
    while domain.ended == nil && endedBy == nil {
      if v.vcpu.now >= limit { return .limit }
      if v.vcpu.now >= nextSlice { beginSlice(v) }
      while let event = queue.pop(dueAt: v.vcpu.now) { dispatch(event) }
      if domain.ended != nil || endedBy != nil { break }
      if v.blocked {
        if isStepped && (liveOutside || queue.nextDue == nil) { return .waiting(due: queue.nextDue) }
        idle(v)
        continue
      }
      domain.deliverPendingUpcall(v)
      return domain.ended == nil ? nil : .ended
    }
    return .ended
  }

  /// Runs guest code until something happens or the limit's cycle comes, and does what the guest asks for.
  @inline(__always) func execute(_ limit: Cycles) {
    let v = domain.vcpus[0]
    let exit = runGuest(v.vcpu, min(queue.nextDue ?? .max, nextSlice, limit))
    runs &+= 1
    if exit != .deadline { domain.handle(exit, v) }
  }

  /// Lets a guest that waits sleep until a cycle, or until what the mailbox holds wakes it.
  func sleep(until cycle: Cycles) {
    let v = domain.vcpus[0]
    if cycle > v.vcpu.now { pass(v, cycle - v.vcpu.now) }
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
  private func beginSlice(_ v: PVCPU) {
    if options.clock == .host {
      let real = keeper.cycle(at: monotonicNanoseconds())
      if real > v.vcpu.now { v.vcpu.advance(cycles: real - v.vcpu.now) }
    }
    publishedClock.nanoseconds = Int64(truncatingIfNeeded: scale(v.vcpu.now, 1_000_000_000, options.cyclesPerSecond))
    takeInputs()
    nextSlice = (v.vcpu.now / sliceCycles + 1) * sliceCycles
  }

  func takeInputs() {
    let inputs = mailbox.takeAll()
    guard !inputs.isEmpty else { return }
    for card in devices.cards { card.beginArrivals() }
    for input in inputs { take(input) }
    for card in devices.cards { card.endArrivals() }
  }

  private func take(_ input: OutsideInput) {
    switch input {
    case .console(let bytes): feedConsole(bytes)
    case .packet(let vif, let frame): receivePacket(vif: vif, frame: frame)
    case .diskCompletion(let token): backEndCompletion(token)
    case .timeout: endedBy = .timeout
    case .leave: endedBy = .poweroff
    case .signal(let number):
      signals += 1
      signalNumber = number
      if signals > 1 || !askForPowerOff() { endedBy = .signal }
    }
  }

  private func dispatch(_ event: EventQueue.Event) {
    switch event.target {
    case EventTarget.timer:
      let vcpu = Int(event.payload >> 8)
      guard timers.indices.contains(vcpu), let kind = TimerKind(rawValue: Int(event.payload & 0xFF)) else { return }
      timers[vcpu][kind.rawValue] = nil
      domain.timerFired(vcpu: vcpu, kind: kind)
    case EventTarget.backEnd: backEndCompletion(event.payload)
    default: break
    }
  }

  /// The guest waits. Without anything outside that could wake it, the clock jumps to the next event; else time passes at
  /// real speed until then, or until something comes in.
  private func idle(_ v: PVCPU) {
    let now = v.vcpu.now
    let due = queue.nextDue
    if !paced, let due {
      if due > now { pass(v, due - now) }
      takeInputs()
      return
    }
    takeInputs()
    guard v.blocked, domain.ended == nil, endedBy == nil else { return }
    if due == nil && !paced { logger("the guest waits for something that only the outside can bring") }
    if options.clock == .virtual { keeper.tie(cycle: now, to: monotonicNanoseconds()) }
    mailbox.wait(until: due.map { keeper.realTime(of: $0) })
    let real = keeper.cycle(at: monotonicNanoseconds())
    let target = min(real, due ?? .max)
    if target > now { pass(v, target - now) }
    takeInputs()
  }

  private func pass(_ v: PVCPU, _ cycles: Cycles) {
    v.vcpu.advance(cycles: cycles)
    idleCycles &+= cycles
  }

  /// Whether idle time passes at real speed.
  private var paced: Bool { options.clock == .host || liveOutside }

  func finish(_ v: PVCPU) -> Outcome {
    shutDownLinks()
    closeDisks()
    trace?.finish()
    let outcome = makeOutcome(v)
    collectStatistics(v, outcome)
    return outcome
  }

  private func makeOutcome(_ v: PVCPU) -> Outcome {
    if let endedBy {
      switch endedBy {
      case .timeout: return Outcome(ending: .timeout, status: 124, report: "paravane: gave up after --timeout\n")
      case .signal: return Outcome(ending: .signal, status: 128 + signalNumber)
      default: return Outcome(ending: endedBy, status: 0)
      }
    }
    switch domain.ended {
    case .shutdown(let reason):
      switch reason {
      case 0, 2: return Outcome(ending: .poweroff, status: 0)
      case 1: return Outcome(ending: .reboot, status: 4)
      default: return Outcome(ending: .crash, status: 3, report: domain.crashReport(v) + "\n")
      }
    default: return Outcome(ending: .crash, status: 3, report: domain.crashReport(v) + "\n")
    }
  }
}
