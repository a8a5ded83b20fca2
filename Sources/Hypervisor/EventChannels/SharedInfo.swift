/// Byte offsets in shared_info, 64-bit form (Xen's xen.h and arch-x86/xen.h).
public enum SharedInfo {
  public static let vcpuInfo: UInt64 = 0
  public static let evtchnPending: UInt64 = 0x800
  public static let evtchnMask: UInt64 = 0xA00
  public static let wallClockVersion: UInt64 = 0xC00
  public static let wallClockSeconds: UInt64 = 0xC04
  public static let wallClockNanoseconds: UInt64 = 0xC08
  public static let wallClockSecondsHigh: UInt64 = 0xC0C
  /// vCPUs that have a vcpu_info here; others must place their own.
  public static let vcpus = 32
}

/// Byte offsets in vcpu_info.
public enum VCPUInfo {
  public static let size: UInt64 = 64
  public static let upcallPending: UInt64 = 0
  public static let upcallMask: UInt64 = 1
  public static let pendingSelector: UInt64 = 8
  public static let cr2: UInt64 = 0x10
  /// struct vcpu_time_info, 32 bytes.
  public static let time: UInt64 = 0x20
}
