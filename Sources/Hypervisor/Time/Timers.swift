import Devices
import Processor

// A vCPU's timers. All of them raise VIRQ_TIMER; times are nanoseconds of the guest's clock.

enum Timers {
  /// HYPERVISOR_set_timer_op (15): absolute; 0 cancels. A time absurdly far off is a guest whose clock went wrong: Xen
  /// answers with 100 ms.
  static func setTimerOp(_ domain: Domain, _ v: PVCPU, _ timeout: UInt64) -> Int64 {
    if timeout == 0 {
      stopSingleShot(domain, v)
      return 0
    }
    let now = domain.systemTime
    let far = timeout > now && (timeout &- now) >> 50 != 0
    if timeout >> 63 != 0 || far {
      setSingleShot(domain, v, now &+ 100_000_000)
    } else {
      setSingleShot(domain, v, timeout)
    }
    return 0
  }

  /// Asks for the one-shot timer; a time that has passed fires at once.
  static func setSingleShot(_ domain: Domain, _ v: PVCPU, _ timeout: UInt64) {
    let cycle = max(domain.scale.cycles(timeout), domain.services.now)
    v.singleShotDeadline = timeout
    domain.setTimer(vcpu: v.id, kind: .singleShot, at: cycle)
  }

  static func stopSingleShot(_ domain: Domain, _ v: PVCPU) {
    guard v.singleShotDeadline != nil else { return }
    v.singleShotDeadline = nil
    domain.setTimer(vcpu: v.id, kind: .singleShot, at: nil)
  }

  static func setPeriodic(_ domain: Domain, _ v: PVCPU, _ period: UInt64) {
    v.periodicPeriod = period
    let next = domain.scale.cycles(domain.systemTime &+ period)
    domain.setTimer(vcpu: v.id, kind: .periodic, at: next)
  }

  static func stopPeriodic(_ domain: Domain, _ v: PVCPU) {
    guard v.periodicPeriod != nil else { return }
    v.periodicPeriod = nil
    domain.setTimer(vcpu: v.id, kind: .periodic, at: nil)
  }
}

extension Domain {
  /// A timer asked for with `DomainServices.setTimer` has come due.
  public func timerFired(vcpu: Int, kind: TimerKind) {
    guard vcpu >= 0, vcpu < vcpus.count, ended == nil else { return }
    let v = vcpus[vcpu]
    switch kind {
    case .singleShot:
      v.singleShotDeadline = nil
      events.raiseVIRQ(VIRQ.timer, vcpu: vcpu)
    case .periodic:
      guard let period = v.periodicPeriod else { return }
      Timers.setPeriodic(self, v, period)
      events.raiseVIRQ(VIRQ.timer, vcpu: vcpu)
    case .poll:
      if v.polling { wake(v) }
    case .watchdog:
      let now = services.now
      if watchdogs.contains(where: { $0.map { $0 <= now } ?? false }) { end(.shutdown(reason: 4)) }
    }
  }
}
