import CHost
import Processor

// Exits served inside the processor's run, so that a system call or a hypercall costs no way out through the machine's loop and
// back. What is done, and its order, is what the loop does: `handle`, then a pending upcall unless an event is due first.

extension Domain {
  /// Serves a vCPU's exits inside `VCPU.run` from now on. `run` then returns `stop` where its caller has something to do:
  /// the domain has ended, the vCPU waits, or the machine's queue of events may have changed.
  public func serveExits(of v: PVCPU) {
    let server = v.exitServer
    server.pointee = ExitServer(domain: .passUnretained(self), v: .passUnretained(v))
    v.vcpu.serveExits(context: server) { context, cpu in
      guard let context else { return ExitService.notMine }
      let server = context.assumingMemoryBound(to: ExitServer.self)
      guard let domain = server.pointee.domain, let v = server.pointee.v else { return ExitService.notMine }
      return domain._withUnsafeGuaranteedRef { domain in v._withUnsafeGuaranteedRef { v in domain.serve(v, cpu) } }
    }
  }

  /// The exits of this vCPU go to the caller of `VCPU.run` again.
  public func leaveExits(of v: PVCPU) { v.vcpu.serveExits(context: nil, nil) }

  /// - Returns: one of `ExitService`.
  private func serve(_ v: PVCPU, _ cpu: CPU) -> Int32 {
    switch cpu.pointee.exit {
    case UInt32(PV_EXIT_SYSCALL):
      if !v.kernelMode {
        userSystemCall(v)
      } else if cpu.pointee.gpr.0 == 23 && !hot.pointee.traced {
        hypercall(v)
      } else {
        underHostModes(cpu) { hypercall(v) }
      }
    case UInt32(PV_EXIT_EXCEPTION):
      let code: UInt32? = cpu.pointee.has_error_code != 0 ? cpu.pointee.error_code : nil
      let vector = UInt8(truncatingIfNeeded: cpu.pointee.vector)
      if vector == 14 { exception(v, 14, code) } else { underHostModes(cpu) { exception(v, vector, code) } }
    default: return ExitService.notMine
    }
    let stops = hot.pointee.queueChanged || hot.pointee.ended || v.blocked || cpu.pointee.budget <= 0
    if stops {
      hot.pointee.queueChanged = false
      return ExitService.stop
    }
    if v.hasDeliverableEvent || v.nmiPending {
      deliverPendingUpcall(v)
      if hot.pointee.ended { return ExitService.stop }
    }
    return ExitService.goOn
  }

  /// Hypercalls may compute with floating point (a dictionary's size) and change what SSE depends on.
  @inline(__always) private func underHostModes(_ cpu: CPU, _ body: () -> Void) {
    vectorStateLeave(cpu)
    body()
    vectorStateEnter(cpu)
  }
}

/// What the processor hands to the handler of exits.
struct ExitServer {
  // Both outlive the run that they serve: the domain holds the vCPU, and whoever runs it holds the domain.
  var domain: Unmanaged<Domain>?
  var v: Unmanaged<PVCPU>?
}
