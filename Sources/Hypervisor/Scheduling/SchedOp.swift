import Devices
import Processor

/// HYPERVISOR_sched_op (29) (Xen's sched.h).
enum SchedOp {
  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    switch a.a0 {
    case 0: return 0
    case 1: return block(domain, v)
    case 2:
      guard let reason = v.vcpu.readGuest(a.a1, as: UInt32.self) else { return XenError.fault.result }
      domain.end(.shutdown(reason: reason))
      return 0
    case 3: return poll(domain, v, a.a1)
    case 4:
      guard let id = v.vcpu.readGuest(a.a1, as: UInt16.self) else { return XenError.fault.result }
      return id == 0 ? XenError.perm.result : XenError.search.result
    case 5: return v.vcpu.readGuest(a.a1, as: UInt32.self) == nil ? XenError.fault.result : 0
    case 6: return watchdog(domain, v, a.a1)
    case 7: return XenError.perm.result
    default: return XenError.noSys.result
    }
  }

  /// sched_op_compat (6): yield, block, and shutdown with the reason in the argument itself.
  static func compatible(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    switch a.a0 {
    case 0: return 0
    case 1: return block(domain, v)
    case 2:
      domain.end(.shutdown(reason: UInt32(truncatingIfNeeded: a.a1)))
      return 0
    default: return XenError.noSys.result
    }
  }

  /// Unmasks upcalls and sleeps unless an event is pending.
  @inline(__always) static func block(_ domain: Domain, _ v: PVCPU) -> Int64 {
    v.upcallMask = 0
    if v.hasDeliverableEvent || v.nmiPending { return 0 }
    v.blocked = true
    domain.setRunstate(v, .blocked)
    return 0
  }

  /// struct sched_poll: ports 0, nr_ports u32 8, timeout 16. Sleeps until one of the ports is pending, an upcall is due, or
  /// the time has come.
  private static func poll(_ domain: Domain, _ v: PVCPU, _ pointer: UInt64) -> Int64 {
    guard let ports = v.vcpu.readGuest(pointer, as: UInt64.self), let count = v.vcpu.readGuest(pointer &+ 8, as: UInt32.self),
      let timeout = v.vcpu.readGuest(pointer &+ 16, as: UInt64.self)
    else { return XenError.fault.result }
    guard count <= 128 else { return XenError.invalid.result }
    var wanted: [UInt32] = []
    var ready = count == 0 || v.hasDeliverableEvent
    for index in 0..<UInt64(count) {
      guard let port = v.vcpu.readGuest(ports &+ index &* 4, as: UInt32.self) else { return XenError.fault.result }
      guard domain.events.isValid(port) else { return XenError.invalid.result }
      ready = ready || domain.events.isPending(port)
      wanted.append(port)
    }
    if ready { return 0 }
    if timeout != 0 {
      guard timeout > domain.systemTime else { return 0 }
      domain.setTimer(vcpu: v.id, kind: .poll, at: domain.scale.cycles(timeout))
    }
    v.pollPorts = wanted
    v.polling = true
    v.blocked = true
    domain.setRunstate(v, .blocked)
    return 0
  }

  /// struct sched_watchdog {id u32, timeout u32 in seconds}. Id 0 makes a new one and returns its id (1 or 2); otherwise it is
  /// set again, or stopped with timeout 0.
  private static func watchdog(_ domain: Domain, _ v: PVCPU, _ pointer: UInt64) -> Int64 {
    guard let id = v.vcpu.readGuest(pointer, as: UInt32.self), let seconds = v.vcpu.readGuest(pointer &+ 4, as: UInt32.self) else {
      return XenError.fault.result
    }
    guard id <= 2 else { return XenError.invalid.result }
    let deadline = domain.services.now &+ UInt64(seconds) &* domain.services.cyclesPerSecond
    var result: Int64 = 0
    if id == 0 {
      guard seconds != 0 else { return XenError.invalid.result }
      guard let free = domain.watchdogs.firstIndex(where: { $0 == nil }) else { return XenError.noSpace.result }
      domain.watchdogs[free] = deadline
      result = Int64(free) &+ 1
    } else {
      guard domain.watchdogs[Int(id) - 1] != nil else { return XenError.invalid.result }
      domain.watchdogs[Int(id) - 1] = seconds == 0 ? nil : deadline
    }
    domain.setTimer(vcpu: 0, kind: .watchdog, at: domain.watchdogs.compactMap { $0 }.min())
    return result
  }
}
