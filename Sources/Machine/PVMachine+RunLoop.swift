import CHost
import Devices
import Hypervisor
import Processor

// The run loop: due events, outside input, one stretch of guest code, what became of it; and the passing of idle time.

extension PVMachine {
  /// Runs the guest to its end.
  public func run() -> Outcome {
    let v = domain.vcpus[0]
    nextSlice = v.vcpu.now
    keeper.tie(cycle: v.vcpu.now, to: monotonicNanoseconds())
    while domain.ended == nil && endedBy == nil {
      if v.vcpu.now >= nextSlice { beginSlice(v) }
      while let event = queue.pop(dueAt: v.vcpu.now) { dispatch(event) }
      if domain.ended != nil || endedBy != nil { break }
      if v.blocked {
        idle(v)
        continue
      }
      domain.deliverPendingUpcall(v)
      if domain.ended != nil { break }
      let exit = v.vcpu.run(until: min(queue.nextDue ?? .max, nextSlice))
      if exit != .deadline { domain.handle(exit, v) }
    }
    return finish(v)
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
    for input in mailbox.takeAll() { take(input) }
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

  private func finish(_ v: PVCPU) -> Outcome {
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
