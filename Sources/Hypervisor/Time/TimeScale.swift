/// Cycles ↔ nanoseconds as a PV guest computes them: ns = ((cycles shifted) × mul) >> 32 (Xen's vcpu_time_info).
///
/// The hypervisor uses the guest's own formula, from cycle 0 and with 128-bit products, so that a timer never fires before
/// the guest's clock shows its time. There is no floating point.
public struct TimeScale: Sendable, Equatable, Codable {
  /// tsc_to_system_mul.
  public let multiplier: UInt32
  /// tsc_shift: a left shift if positive.
  public let shift: Int8

  /// - Parameter cyclesPerSecond: at least 1 kHz; 0 is taken as 1 GHz.
  public init(cyclesPerSecond: UInt64) {
    var rate = cyclesPerSecond == 0 ? 1_000_000_000 : cyclesPerSecond
    var shift = 0
    while rate > 2_000_000_000 {
      rate >>= 1
      shift -= 1
    }
    while rate <= 1_000_000_000 {
      rate <<= 1
      shift += 1
    }
    self.shift = Int8(shift)
    multiplier = UInt32(truncatingIfNeeded: (1_000_000_000 << 32) / rate)
  }

  /// Nanoseconds of the guest's clock at a cycle; saturates after 584 years.
  public func nanoseconds(_ cycles: UInt64) -> UInt64 {
    let wide: UInt128 = shift >= 0 ? UInt128(cycles) << UInt128(shift) : UInt128(cycles >> UInt64(-shift))
    let result = (wide * UInt128(multiplier)) >> 32
    return result > UInt128(UInt64.max) ? .max : UInt64(result)
  }

  /// The first cycle at which the guest's clock shows at least `nanoseconds`; saturates.
  public func cycles(_ nanoseconds: UInt64) -> UInt64 {
    let divisor = UInt128(multiplier)
    let scaled = ((UInt128(nanoseconds) << 32) + divisor - 1) / divisor
    let result: UInt128
    if shift >= 0 {
      let unit = UInt128(1) << UInt128(shift)
      result = (scaled + unit - 1) >> UInt128(shift)
    } else {
      result = scaled << UInt128(-shift)
    }
    return result > UInt128(UInt64.max) ? .max : UInt64(result)
  }
}
