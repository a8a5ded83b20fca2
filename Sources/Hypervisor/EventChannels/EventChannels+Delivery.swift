import GuestMemory

// The two-level bitmaps: evtchn_pending and evtchn_mask in shared_info, evtchn_pending_sel and evtchn_upcall_pending in
// the vCPU's vcpu_info (Xen's xen.h). The guest clears pending bits itself: the hypervisor never does, but for a port
// that is closed.

extension EventChannels {
  @inline(__always) private func pendingWord(_ domain: Domain, _ port: UInt32) -> UInt64 {
    domain.sharedInfoFrame &<< 12 &+ SharedInfo.evtchnPending &+ UInt64(port >> 6) &* 8
  }

  @inline(__always) private func maskWord(_ domain: Domain, _ port: UInt32) -> UInt64 {
    domain.sharedInfoFrame &<< 12 &+ SharedInfo.evtchnMask &+ UInt64(port >> 6) &* 8
  }

  /// Whether the port's pending bit is set.
  public func isPending(_ port: UInt32) -> Bool {
    guard let domain, port < Self.limit else { return false }
    let word = domain.memory.load(pendingWord(domain, port), as: UInt64.self) ?? 0
    return word >> UInt64(port & 63) & 1 != 0
  }

  /// Signals a port to the vCPU it is bound to.
  func setPending(_ port: UInt32) {
    guard let domain, isValid(port) else { return }
    let bit = UInt64(1) << UInt64(port & 63)
    let address = pendingWord(domain, port)
    let word = domain.memory.load(address, as: UInt64.self) ?? 0
    guard word & bit == 0 else { return }
    domain.memory.store(word | bit, at: address)
    select(domain, port)
    wakePollers(domain, port)
  }

  /// Second half of a delivery: for an unmasked port, its word's bit in the selector, and the upcall.
  private func select(_ domain: Domain, _ port: UInt32) {
    let masked = domain.memory.load(maskWord(domain, port), as: UInt64.self) ?? 0
    guard masked >> UInt64(port & 63) & 1 == 0 else { return }
    let index = Int(ports[Int(port)].vcpu)
    guard index < domain.vcpus.count else { return }
    let v = domain.vcpus[index]
    let address = v.vcpuInfo &+ VCPUInfo.pendingSelector
    let selector = domain.memory.load(address, as: UInt64.self) ?? 0
    let bit = UInt64(1) << UInt64(port >> 6)
    guard selector & bit == 0 else { return }
    domain.memory.store(selector | bit, at: address)
    domain.memory.store(UInt8(1), at: v.vcpuInfo &+ VCPUInfo.upcallPending)
    if v.blocked, v.upcallMask == 0 { domain.wake(v) }
  }

  /// Wakes vCPUs in SCHEDOP_poll on the port.
  private func wakePollers(_ domain: Domain, _ port: UInt32) {
    for v in domain.vcpus where v.polling && v.pollPorts.contains(port) { domain.wake(v) }
  }

  /// EVTCHNOP_unmask: clears the mask bit; an event that was pending is delivered.
  func unmask(_ port: UInt32) throws(XenError) {
    guard let domain, isValid(port) else { throw .invalid }
    let bit = UInt64(1) << UInt64(port & 63)
    let address = maskWord(domain, port)
    let word = domain.memory.load(address, as: UInt64.self) ?? 0
    guard word & bit != 0 else { return }
    domain.memory.store(word & ~bit, at: address)
    if isPending(port) { select(domain, port) }
  }

  /// A closed port keeps nothing for the next one to use its number.
  func clearPending(_ port: UInt32) {
    guard let domain, port < Self.limit else { return }
    let address = pendingWord(domain, port)
    let word = domain.memory.load(address, as: UInt64.self) ?? 0
    let bit = UInt64(1) << UInt64(port & 63)
    if word & bit != 0 { domain.memory.store(word & ~bit, at: address) }
  }

  /// Raises a virtual interrupt on a vCPU; nothing if it is not bound. Global ones are the business of vCPU 0.
  public func raiseVIRQ(_ virq: UInt32, vcpu: Int) {
    guard let domain, vcpu >= 0, vcpu < domain.vcpus.count, virq < VIRQ.count else { return }
    let port = domain.vcpus[vcpu].virqPorts[Int(virq)]
    if port != 0 { setPending(port) }
  }
}
