// What CPUID returns, leaf by leaf (Intel SDM volume 2, CPUID).

extension CPUPolicy {
  public typealias Registers = (UInt32, UInt32, UInt32, UInt32)

  /// What CPUID depends on beside the model.
  public struct Context: Sendable {
    public var xcr0: UInt64
    /// CR4.OSXSAVE as this view of it has it.
    public var osxsave: Bool
    public var cyclesPerSecond: UInt64
    public var scale: TimeScale
    public init(xcr0: UInt64, osxsave: Bool, cyclesPerSecond: UInt64, scale: TimeScale) {
      self.xcr0 = xcr0
      self.osxsave = osxsave
      self.cyclesPerSecond = cyclesPerSecond
      self.scale = scale
    }
  }

  static let maximumLeaf: UInt32 = 0x16
  static let maximumExtendedLeaf: UInt32 = 0x8000_0008
  /// Family 6, model 0x36, stepping 1: one of Intel's in-order models. Nothing speculates here either, and operating systems
  /// that know the model leave out what they do against speculation, on every system call and context switch, on others.
  /// CPUID.1's EAX; also in EDX after a reset.
  public static let signature: UInt32 = 0x0003_0661
  private static let maskOfPV: [UInt32] = [
    0x1FC9_CBF5, 0xF6D8_3203, 0xEA50_0800, 0x4421_09E3, 0xF1AF_0B29, 0x0240_5F43, 0xAC80_4410, 0x0000_0007, 0x0000_0100,
  ]

  /// A feature word as a PV guest sees it.
  private func word(_ word: CPUFeature.Word) -> UInt32 {
    let index = Int(word.rawValue)
    return words[index] & Self.maskOfPV[index]
  }

  /// EAX, EBX, ECX, EDX of a leaf for a PV guest.
  public func cpuid(_ leaf: UInt32, _ subleaf: UInt32, _ context: Context) -> Registers {
    switch leaf >> 28 {
    case 0: return basic(leaf, subleaf, context)
    case 4: return hypervisor(leaf, subleaf, context)
    case 8: return extended(leaf)
    default: return (0, 0, 0, 0)
    }
  }

  private func basic(_ leaf: UInt32, _ subleaf: UInt32, _ context: Context) -> Registers {
    switch leaf {
    // "GenuineIntel"
    case 0: return (Self.maximumLeaf, 0x756E_6547, 0x6C65_746E, 0x4965_6E69)
    case 1:
      var ecx = word(.leaf1ECX) | 1 << 31
      if has(.xsave) && context.osxsave { ecx |= 1 << 27 }
      // One logical processor, CLFLUSH of 64 bytes.
      return (Self.signature, 0x0001_0800, ecx, word(.leaf1EDX))
    // Everything about caches is in leaf 4.
    case 2: return (0x0000_FF01, 0, 0, 0)
    case 4: return cache(subleaf)
    case 7: return subleaf == 0 ? (0, word(.leaf7EBX), word(.leaf7ECX), word(.leaf7EDX)) : (0, 0, 0, 0)
    case 0xD: return extendedState(subleaf, context)
    // Base and maximum MHz, and a bus of 100 MHz: with it a kernel need not calibrate against a timer that is not there.
    case 0x16:
      let megahertz = UInt32(clamping: max(context.cyclesPerSecond / 1_000_000, 1))
      return (megahertz & 0xFFFF, megahertz & 0xFFFF, 100, 0)
    default: return (0, 0, 0, 0)
    }
  }

  /// Leaf 4: L1 data and code 32 KiB, L2 2 MiB, L3 16 MiB, lines of 64 bytes.
  private func cache(_ subleaf: UInt32) -> Registers {
    switch subleaf {
    case 0: return (0x0000_0121, 7 << 22 | 63, 63, 0)
    case 1: return (0x0000_0122, 7 << 22 | 63, 63, 0)
    case 2: return (0x0000_0143, 15 << 22 | 63, 2047, 0)
    case 3: return (0x0000_0163, 15 << 22 | 63, 16383, 0)
    default: return (0, 0, 0, 0)
    }
  }

  /// Leaf 0xd: the standard format's legacy area and header are 576 bytes, AVX follows with 256 at 576.
  private func extendedState(_ subleaf: UInt32, _ context: Context) -> Registers {
    guard has(.xsave) else { return (0, 0, 0, 0) }
    let enabled: UInt32 = context.xcr0 & 4 != 0 ? 0x340 : 0x240
    switch subleaf {
    case 0: return (UInt32(truncatingIfNeeded: supportedXCR0), enabled, has(.avx) ? 0x340 : 0x240, 0)
    case 1: return (word(.leafD1EAX), word(.leafD1EAX) & 2 != 0 ? enabled : 0, 0, 0)
    case 2: return has(.avx) ? (0x100, 0x240, 0, 0) : (0, 0, 0, 0)
    default: return (0, 0, 0, 0)
    }
  }

  private func extended(_ leaf: UInt32) -> Registers {
    switch leaf {
    case 0x8000_0000: return (Self.maximumExtendedLeaf, 0, 0, 0)
    case 0x8000_0001: return (0, 0, word(.extended1ECX), word(.extended1EDX))
    case 0x8000_0002...0x8000_0004: return brand(Int(leaf - 0x8000_0002))
    // L2: 2 MiB, 16 ways (code 8), lines of 64 bytes.
    case 0x8000_0006: return (0, 0, 2048 << 16 | 8 << 12 | 64, 0)
    case 0x8000_0007: return (0, 0, 0, word(.extended7EDX))
    // 40 bits of machine address, 48 of linear address.
    case 0x8000_0008: return (0x3028, 0, 0, 0)
    default: return (0, 0, 0, 0)
    }
  }

  /// A third of the brand string.
  private func brand(_ part: Int) -> Registers {
    var text = Array("Paravane virtual CPU \(level.name)".utf8.prefix(47))
    text.append(contentsOf: repeatElement(0, count: 48 - text.count))
    func register(_ index: Int) -> UInt32 {
      let at = part * 16 + index * 4
      return UInt32(text[at]) | UInt32(text[at + 1]) << 8 | UInt32(text[at + 2]) << 16 | UInt32(text[at + 3]) << 24
    }
    return (register(0), register(1), register(2), register(3))
  }

  /// Xen's leaves (arch-x86/cpuid.h).
  private func hypervisor(_ leaf: UInt32, _ subleaf: UInt32, _ context: Context) -> Registers {
    let kilohertz = UInt32(clamping: context.cyclesPerSecond / 1000)
    switch leaf {
    // "XenVMMXenVMM"
    case 0x4000_0000: return (0x4000_0005, 0x566E_6558, 0x6558_4D4D, 0x4D4D_566E)
    case 0x4000_0001: return (UInt32(VersionHypercall.major) << 16 | UInt32(VersionHypercall.minor), 0, 0, 0)
    // One hypercall page, by MSR 0x40000000; MMU_PT_UPDATE_PRESERVE_AD is there.
    case 0x4000_0002: return (1, 0x4000_0000, 1, 0)
    case 0x4000_0003:
      switch subleaf {
      // The counter is never emulated, reliable, and RDTSCP is native.
      case 0: return (6, 0, kilohertz, 1)
      case 1: return (0, 0, context.scale.multiplier, UInt32(bitPattern: Int32(context.scale.shift)))
      case 2: return (kilohertz, 0, 0, 0)
      default: return (0, 0, 0, 0)
      }
    // 40 bits of machine address: up to 44 a guest stays on grant table version 1.
    case 0x4000_0005: return (0, 40, 0, 0)
    default: return (0, 0, 0, 0)
    }
  }
}
