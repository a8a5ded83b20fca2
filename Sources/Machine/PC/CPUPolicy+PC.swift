import Hypervisor
import Processor

// What CPUID returns on a PC, where no hypervisor shows itself. (The model of the processor, and what a PV guest sees of it, is the
// module Hypervisor's.)

extension CPUPolicy {
  /// What CPUID depends on beside the model, on a PC.
  struct PCContext: Sendable {
    var xcr0: UInt64
    /// CR4.OSXSAVE.
    var osxsave: Bool
    /// IA32_APIC_BASE's enable bit.
    var hasLocalAPIC: Bool
    var cyclesPerSecond: UInt64
    /// Counts of the local APIC's timer per second.
    var crystal: UInt64
  }

  /// Bits of a physical address.
  static let physicalBits = 40

  /// VME, PSE, MTRR, PGE, MCA, PSE-36: what only an operating system on bare hardware uses.
  private static let platformLeaf1EDX: UInt32 = 1 << 1 | 1 << 3 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17
  /// x2APIC, TSC-deadline timer.
  private static let platformLeaf1ECX: UInt32 = 1 << 21 | 1 << 24
  /// TSC_ADJUST, SMEP.
  private static let platformLeaf7EBX: UInt32 = 1 << 1 | 1 << 7
  /// Pages of 1 GiB.
  private static let platformExtended1EDX: UInt32 = 1 << 26

  /// The bits of CR4 that a PC's processor of this model has: FSGSBASE and OSXSAVE with their features, no UMIP.
  var offeredControlFour: UInt64 {
    var bits = VCPU.controlFour & ~(1 << 11)
    if !has("fsgsbase") { bits &= ~(1 << 16) }
    if !has("xsave") { bits &= ~(1 << 18) }
    return bits
  }

  /// EAX, EBX, ECX, EDX of a leaf for a guest that has the machine to itself.
  func cpuid(_ leaf: UInt32, _ subleaf: UInt32, pc context: PCContext) -> Registers {
    switch leaf {
    case 1:
      var ecx = features(.leaf1ECX) | Self.platformLeaf1ECX
      if features(.leaf1ECX) & 1 << 26 != 0 && context.osxsave { ecx |= 1 << 27 }
      var edx = features(.leaf1EDX) | Self.platformLeaf1EDX
      if !context.hasLocalAPIC { edx &= ~(1 << 9) }
      return (Self.signature, 0x0001_0800, ecx, edx)
    // The timer runs in every idle state.
    case 6: return (1 << 2, 0, 0, 0)
    case 7:
      guard subleaf == 0 else { return (0, 0, 0, 0) }
      return (0, features(.leaf7EBX) | Self.platformLeaf7EBX, features(.leaf7ECX), features(.leaf7EDX))
    // One processor: one thread of one core.
    case 0xB:
      switch subleaf {
      case 0: return (0, 1, 1 << 8, 0)
      case 1: return (0, 1, 2 << 8 | 1, 0)
      default: return (0, 0, subleaf & 0xFF, 0)
      }
    // The counter's frequency is the crystal's times EBX / EAX.
    case 0x15:
      let (numerator, denominator) = Self.ratio(context.cyclesPerSecond, context.crystal)
      guard let numerator, let denominator, context.crystal <= UInt64(UInt32.max) else { return (0, 0, 0, 0) }
      return (denominator, numerator, UInt32(context.crystal), 0)
    case 0x8000_0001:
      return (
        0, 0, features(.extended1ECX),
        features(.extended1EDX) | Self.platformExtended1EDX
      )
    case 0x4000_0000...0x4FFF_FFFF: return (0, 0, 0, 0)
    default:
      let plain = Context(
        xcr0: context.xcr0, osxsave: context.osxsave, cyclesPerSecond: context.cyclesPerSecond,
        scale: TimeScale(cyclesPerSecond: context.cyclesPerSecond))
      return cpuid(leaf, subleaf, plain)
    }
  }

  /// Numerator and denominator of a ratio, reduced; nil where they do not fit 32 bits.
  private static func ratio(_ a: UInt64, _ b: UInt64) -> (UInt32?, UInt32?) {
    var (x, y) = (a, b)
    while y != 0 { (x, y) = (y, x % y) }
    guard x != 0 else { return (nil, nil) }
    return (UInt32(exactly: a / x), UInt32(exactly: b / x))
  }
}
