import GuestMemory
import Processor

/// HYPERVISOR_vcpu_op (24): command, vCPU number, argument (Xen's vcpu.h).
enum VCPUOp {
  private static let smallestPeriod: UInt64 = 1_000_000

  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    guard a.a1 < UInt64(domain.vcpus.count) else { return XenError.noEntry.result }
    let target = domain.vcpus[Int(a.a1)]
    do {
      return try operate(domain, v, target, UInt32(truncatingIfNeeded: a.a0), a.a2)
    } catch { return error.result }
  }

  private static func operate(
    _ domain: Domain, _ v: PVCPU, _ target: PVCPU, _ command: UInt32, _ pointer: UInt64
  ) throws(XenError) -> Int64 {
    func read<T: FixedWidthInteger>(_ offset: UInt64, _: T.Type) throws(XenError) -> T {
      guard let value = v.vcpu.readGuest(pointer &+ offset, as: T.self) else { throw .fault }
      return value
    }
    switch command {
    case 0: return try VCPUInitialise.run(domain, v, target, pointer)
    case 1:
      guard target.initialised else { throw .invalid }
      target.up = true
      domain.setRunstate(target, .running)
    case 2: down(domain, target)
    case 3: return target.up ? 1 : 0
    case 4:
      target.runstate.enter(target.runstate.state, at: domain.systemTime)
      guard domain.writeRunstate(target, to: pointer, by: v) else { throw .fault }
    case 5:
      target.runstateArea = try read(0, UInt64.self)
      if target === v {
        domain.setRunstate(v, .running)
      } else if target.runstateArea != 0 {
        _ = domain.writeRunstate(target, to: target.runstateArea, by: v)
      }
    case 6:
      let period = try read(0, UInt64.self)
      guard period >= smallestPeriod, period >> 62 == 0 else { throw .invalid }
      Timers.setPeriodic(domain, target, period)
    case 7: Timers.stopPeriodic(domain, target)
    case 8:
      guard target === v else { throw .invalid }
      Timers.setSingleShot(domain, v, try read(0, UInt64.self))
    case 9:
      guard target === v else { throw .invalid }
      Timers.stopSingleShot(domain, v)
    case 10: try registerInfo(domain, target, frame: read(0, UInt64.self), offset: read(8, UInt32.self))
    case 11:
      target.nmiPending = true
      domain.wake(target)
    case 12: throw .invalid
    case 13:
      target.timeArea = try read(0, UInt64.self)
      if target.timeArea != 0 {
        guard let bytes = domain.memory.copyOut(target.vcpuInfo &+ VCPUInfo.time, count: 32),
          bytes.withUnsafeBytes({ v.vcpu.writeGuest(target.timeArea, from: $0) })
        else {
          target.timeArea = 0
          throw .fault
        }
      }
    default: throw .noSys
    }
    return 0
  }

  /// The last vCPU to go down takes the domain with it.
  private static func down(_ domain: Domain, _ target: PVCPU) {
    target.up = false
    domain.setRunstate(target, .offline)
    if !domain.vcpus.contains(where: { $0.up }) { domain.end(.shutdown(reason: 0)) }
  }

  /// register_vcpu_info: the 64 bytes move to a page of the guest's own. Everything is made pending there, so that nothing
  /// that came between is lost.
  private static func registerInfo(_ domain: Domain, _ target: PVCPU, frame: UInt64, offset: UInt32) throws(XenError) {
    guard offset & 7 == 0, offset <= 4096 - UInt32(VCPUInfo.size) else { throw .noDeviceAddress }
    guard !target.vcpuInfoPlaced, domain.pageTables.holdWritable(frame) else { throw .invalid }
    let address = frame &<< 12 &+ UInt64(offset)
    let hadOld = target.id < SharedInfo.vcpus
    if hadOld, let old = domain.memory.copyOut(target.vcpuInfo, count: Int(VCPUInfo.size)) {
      domain.memory.copyIn(old, at: address)
    } else {
      domain.memory.zero(address, count: Int(VCPUInfo.size))
      domain.memory.store(UInt8(1), at: address &+ VCPUInfo.upcallMask)
    }
    target.vcpuInfo = address
    target.vcpuInfoPlaced = true
    domain.memory.store(~UInt64(0), at: address &+ VCPUInfo.pendingSelector)
    domain.memory.store(UInt8(1), at: address &+ VCPUInfo.upcallPending)
    domain.updateTime(target)
    if target.blocked, target.upcallMask == 0 { domain.wake(target) }
  }
}
