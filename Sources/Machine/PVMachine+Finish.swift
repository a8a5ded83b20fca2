import Hypervisor
import Processor

extension PVMachine {
  func collectDomainStatistics() {
    let exits = domain.exits
    statistics.exits = Statistics.Exits(
      hypercall: exits.hypercall, syscall: exits.syscall, exception: exits.exception, privileged: exits.privileged, port: exits.port,
      mmio: 0,
      event: exits.event)
    statistics.hypercalls = Dictionary(uniqueKeysWithValues: domain.hypercallCounts.map { ($0.name, $0.count) })
    collectDeviceStatistics()
  }

  func digestDomain(_ digest: inout StateDigest) {
    let v = domain.vcpus[0]
    for value in [
      v.kernelTable, v.userTable, v.kernelSP, v.inactiveGSBase, v.vcpuInfo, v.cr2, v.cr4, v.ldtBase, v.runstateArea, v.timeArea,
    ] {
      digest.update(value)
    }
    for value in [v.kernelMode, v.taskSwitched, v.vcpuInfoPlaced, v.blocked, v.polling, v.up] { digest.update(value ? 1 : 0) }
    for gate in v.traps {
      digest.update(gate.address)
      digest.update(UInt64(gate.selector) << 16 | UInt64(gate.dpl) << 8 | (gate.masksEvents ? 1 : 0))
    }
    for callback in [v.eventCallback, v.failsafeCallback, v.syscallCallback, v.syscall32Callback, v.sysenterCallback] {
      digest.update(callback.address)
      digest.update(callback.masksEvents ? 1 : 0)
    }
    for frame in v.gdtFrames { digest.update(frame) }
    digest.update(domain.assists)
    digest.update(domain.sharedInfoFrame)
    digest.update(UInt64(queue.count))
    digest.update(queue.nextDue ?? 0)
  }
}
