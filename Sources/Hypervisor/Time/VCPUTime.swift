import GuestMemory
import Processor

// The PV clock: vcpu_time_info in vcpu_info (and in the copy that VCPUOP_register_vcpu_time_memory_area asks for), and the
// wall clock in shared_info.
//
// The base is cycle 0 = nanosecond 0 for good. The counter's rate never changes, so a newer base could only differ by
// rounding, and two bases could make the clock step back by a nanosecond. All vCPUs agree, hence TSC_STABLE.

extension Domain {
  static let stableTSC: UInt8 = 1

  /// The guest's clock in nanoseconds.
  public var systemTime: UInt64 { scale.nanoseconds(services.now) }

  /// Writes the vCPU's time: at the start (and then the wall clock too), when its vcpu_info moves, and whenever the machine
  /// wishes.
  public func updateTime(_ v: PVCPU) {
    let address = v.vcpuInfo &+ VCPUInfo.time
    let version = (memory.load(address, as: UInt32.self) ?? 0) & ~1
    memory.store(version | 1, at: address)
    memory.store(UInt64(0), at: address &+ 8)
    memory.store(UInt64(0), at: address &+ 16)
    memory.store(scale.multiplier, at: address &+ 24)
    memory.store(UInt8(bitPattern: scale.shift), at: address &+ 28)
    memory.store(Self.stableTSC, at: address &+ 29)
    memory.store(version &+ 2, at: address)
    writeTimeArea(v)
    if (memory.load(sharedInfoFrame &<< 12 &+ SharedInfo.wallClockVersion, as: UInt32.self) ?? 0) == 0 { updateWallClock() }
  }

  /// Copies the vCPU's time to the area that the guest registered; skipped while its kernel page tables are not loaded (the
  /// contents never change, so nothing is lost).
  func writeTimeArea(_ v: PVCPU) {
    guard v.timeArea != 0, v.kernelMode, let bytes = memory.copyOut(v.vcpuInfo &+ VCPUInfo.time, count: 32) else { return }
    _ = bytes.withUnsafeBytes { v.vcpu.writeGuest(v.timeArea, from: $0) }
  }

  /// Writes the wall clock: UTC at nanosecond 0 of the guest's clock.
  public func updateWallClock() {
    let base = sharedInfoFrame &<< 12
    let seconds = services.wallClockAtStart / 1_000_000_000
    let nanoseconds = services.wallClockAtStart % 1_000_000_000
    let version = (memory.load(base &+ SharedInfo.wallClockVersion, as: UInt32.self) ?? 0) & ~1
    memory.store(version | 1, at: base &+ SharedInfo.wallClockVersion)
    memory.store(UInt32(truncatingIfNeeded: seconds), at: base &+ SharedInfo.wallClockSeconds)
    memory.store(UInt32(truncatingIfNeeded: nanoseconds), at: base &+ SharedInfo.wallClockNanoseconds)
    memory.store(UInt32(truncatingIfNeeded: seconds >> 32), at: base &+ SharedInfo.wallClockSecondsHigh)
    memory.store(version &+ 2, at: base &+ SharedInfo.wallClockVersion)
  }

  /// Start of day, once `sharedInfoFrame` and `vcpus` are set: places every vcpu_info, masks upcalls, fills the clocks.
  public func initialiseSharedInfo() {
    let base = sharedInfoFrame &<< 12
    for index in 0..<SharedInfo.vcpus {
      memory.store(UInt8(1), at: base &+ UInt64(index) &* VCPUInfo.size &+ VCPUInfo.upcallMask)
    }
    updateWallClock()
    for v in vcpus where !v.vcpuInfoPlaced {
      v.vcpuInfo = base &+ UInt64(min(v.id, SharedInfo.vcpus - 1)) &* VCPUInfo.size
      if v.id < SharedInfo.vcpus { updateTime(v) }
    }
  }
}
