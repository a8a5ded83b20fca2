// Opening and closing ports: what EVTCHNOP_* asks for, with Xen's refusals.

/// Virtual interrupts (Xen's xen.h).
public enum VIRQ {
  public static let timer: UInt32 = 0
  public static let debug: UInt32 = 1
  public static let xenoprof: UInt32 = 7
  public static let xenpmu: UInt32 = 13
  public static let count: UInt32 = 24
  /// Whether there is one for the whole domain, on vCPU 0.
  static func isGlobal(_ virq: UInt32) -> Bool { virq != timer && virq != debug && virq != xenoprof && virq != xenpmu }
}

extension EventChannels {
  /// The domain a hypercall names: only itself is within its rights. Another existing one is −EPERM.
  func isSelf(_ id: UInt16) throws(XenError) {
    guard let domain else { throw .search }
    if id == DomainID.`self`.rawValue || id == domain.id.rawValue { return }
    throw id == DomainID.control.rawValue ? .perm : .search
  }

  /// `allocUnbound`: `remote` need not exist.
  func allocUnbound(domain id: UInt16, remote: UInt16) throws(XenError) -> UInt32 {
    try isSelf(id)
    let port = try allocate()
    ports[Int(port)].state = .unbound
    ports[Int(port)].vcpu = 0
    ports[Int(port)].remoteDomain = resolve(remote)
    return port
  }

  private func resolve(_ id: UInt16) -> UInt16 { id == DomainID.`self`.rawValue ? domain?.id.rawValue ?? id : id }

  /// Binds to a port that another domain left unbound for us. The only domain whose ports there are is our own.
  func bindInterdomain(remote: UInt16, remotePort: UInt32) throws(XenError) -> UInt32 {
    guard let domain else { throw .search }
    let id = resolve(remote)
    guard id == domain.id.rawValue else { throw id == DomainID.control.rawValue ? .invalid : .search }
    let port = try allocate()
    guard isValid(remotePort), remotePort != port, ports[Int(remotePort)].state == .unbound, ports[Int(remotePort)].remoteDomain == id
    else { throw .invalid }
    ports[Int(port)].state = .interdomain
    ports[Int(port)].vcpu = 0
    ports[Int(port)].remoteDomain = id
    ports[Int(port)].remotePort = remotePort
    ports[Int(remotePort)].state = .interdomain
    ports[Int(remotePort)].remotePort = port
    // Notifications may have been lost while the other end was unbound.
    setPending(port)
    return port
  }

  func bindVIRQ(_ virq: UInt32, vcpu: UInt32) throws(XenError) -> UInt32 {
    guard virq < VIRQ.count else { throw .invalid }
    if VIRQ.isGlobal(virq) && vcpu != 0 { throw .invalid }
    guard let domain, Int(vcpu) < domain.vcpus.count else { throw .noEntry }
    let v = domain.vcpus[Int(vcpu)]
    guard v.virqPorts[Int(virq)] == 0 else { throw .exists }
    let port = try allocate()
    ports[Int(port)].state = .virq
    ports[Int(port)].virq = virq
    ports[Int(port)].vcpu = vcpu
    v.virqPorts[Int(virq)] = port
    return port
  }

  func bindIPI(vcpu: UInt32) throws(XenError) -> UInt32 {
    guard let domain, Int(vcpu) < domain.vcpus.count else { throw .noEntry }
    let port = try allocate()
    ports[Int(port)].state = .ipi
    ports[Int(port)].vcpu = vcpu
    return port
  }

  /// Moves a port's delivery to another vCPU.
  func bindVCPU(port: UInt32, vcpu: UInt32) throws(XenError) {
    guard let domain, Int(vcpu) < domain.vcpus.count else { throw .noEntry }
    guard isValid(port) else { throw .invalid }
    switch ports[Int(port)].state {
    case .unbound, .interdomain, .pirq: break
    case .virq where VIRQ.isGlobal(ports[Int(port)].virq): break
    default: throw .invalid
    }
    ports[Int(port)].vcpu = vcpu
  }

  /// Frees a port; the other end, if it has one, is left unbound.
  func close(_ port: UInt32) throws(XenError) {
    guard isValid(port) else { throw .invalid }
    let old = ports[Int(port)]
    switch old.state {
    case .closed, .reserved: throw .invalid
    case .interdomain where !old.isBackEnd && isValid(old.remotePort) && old.remotePort != port:
      ports[Int(old.remotePort)].state = .unbound
      ports[Int(old.remotePort)].remotePort = 0
    case .virq:
      if let domain {
        for v in domain.vcpus where v.virqPorts[Int(old.virq)] == port { v.virqPorts[Int(old.virq)] = 0 }
      }
    default: break
    }
    ports[Int(port)] = Port()
    clearPending(port)
  }

  func send(_ port: UInt32) throws(XenError) {
    guard isValid(port) else { throw .invalid }
    switch ports[Int(port)].state {
    case .interdomain:
      if ports[Int(port)].isBackEnd {
        domain?.hot.pointee.queueChanged = true
        domain?.services.eventSent(port: port)
      } else {
        setPending(ports[Int(port)].remotePort)
      }
    case .ipi: setPending(port)
    case .unbound: break
    default: throw .invalid
    }
  }

  /// Closes every port.
  func reset() {
    for port in 1..<UInt32(ports.count) where ports[Int(port)].state != .closed { try? close(port) }
  }
}
