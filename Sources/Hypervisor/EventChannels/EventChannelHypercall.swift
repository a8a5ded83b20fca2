import Processor

/// HYPERVISOR_event_channel_op (32): sub-operation and a pointer to its structure (Xen's event_channel.h).
enum EventChannelHypercall {
  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    do {
      try operate(domain, v, UInt32(truncatingIfNeeded: a.a0), a.a1)
      return 0
    } catch { return error.result }
  }

  private static func operate(_ domain: Domain, _ v: PVCPU, _ operation: UInt32, _ pointer: UInt64) throws(XenError) {
    let events = domain.events
    func read<T: FixedWidthInteger>(_ offset: UInt64, _: T.Type) throws(XenError) -> T {
      guard let value = v.vcpu.readGuest(pointer &+ offset, as: T.self) else { throw .fault }
      return value
    }
    /// Hands a new port out; a port that the guest is never told of does not stay open.
    func answer(_ port: UInt32, at offset: UInt64) throws(XenError) {
      guard v.vcpu.writeGuest(pointer &+ offset, port) else {
        try events.close(port)
        throw .fault
      }
    }
    switch operation {
    case 0:
      try answer(events.bindInterdomain(remote: read(0, UInt16.self), remotePort: read(4, UInt32.self)), at: 8)
    case 1: try answer(events.bindVIRQ(read(0, UInt32.self), vcpu: read(4, UInt32.self)), at: 8)
    case 2:
      let pirq = try read(0, UInt32.self)
      throw pirq < 256 ? .perm : .invalid
    case 3: try events.close(read(0, UInt32.self))
    case 4: try events.send(read(0, UInt32.self))
    case 5: try status(events, v, pointer)
    case 6: try answer(events.allocUnbound(domain: read(0, UInt16.self), remote: read(2, UInt16.self)), at: 4)
    case 7: try answer(events.bindIPI(vcpu: read(0, UInt32.self)), at: 4)
    case 8: try events.bindVCPU(port: read(0, UInt32.self), vcpu: read(4, UInt32.self))
    case 9: try events.unmask(read(0, UInt32.self))
    case 10:
      try events.isSelf(read(0, UInt16.self))
      events.reset()
    case 11:
      // The FIFO form: refused, so the guest stays on the two-level form; but a bad request is told so. The control block
      // has 72 bytes.
      let frame = try read(0, UInt64.self)
      let offset = try read(8, UInt32.self)
      guard try read(12, UInt32.self) < UInt32(domain.vcpus.count) else { throw .noEntry }
      guard offset & 7 == 0, offset <= 4096 - 72, domain.frames.mayWrite(frame) else { throw .invalid }
      throw .noSys
    case 12:
      _ = try read(0, UInt64.self)
      throw .notSupported
    case 13:
      _ = try read(0, UInt64.self)
      throw .noSys
    case 14: throw .perm
    default: throw .noSys
    }
  }

  /// struct evtchn_status, 24 bytes.
  private static func status(_ events: EventChannels, _ v: PVCPU, _ pointer: UInt64) throws(XenError) {
    guard let id = v.vcpu.readGuest(pointer, as: UInt16.self), let number = v.vcpu.readGuest(pointer &+ 4, as: UInt32.self) else {
      throw .fault
    }
    try events.isSelf(id)
    guard let port = events.port(number) else { throw .invalid }
    let state = port.state == .reserved ? UInt32(0) : UInt32(port.state.rawValue)
    var done = v.vcpu.writeGuest(pointer &+ 8, state) && v.vcpu.writeGuest(pointer &+ 12, port.vcpu)
    switch port.state {
    case .unbound: done = done && v.vcpu.writeGuest(pointer &+ 16, port.remoteDomain)
    case .interdomain:
      done = done && v.vcpu.writeGuest(pointer &+ 16, port.remoteDomain) && v.vcpu.writeGuest(pointer &+ 20, port.remotePort)
    case .virq: done = done && v.vcpu.writeGuest(pointer &+ 16, port.virq)
    default: break
    }
    guard done else { throw .fault }
  }
}
