import GuestMemory

// The machine-to-physical table: an array of 64-bit pfns indexed by mfn, in Xen's frames, which the guest reads through
// L4 slot 256 at 0xffff800000000000 (xen/include/public/arch-x86/xen-x86_64.h).

extension FrameTable {
  public static let invalidM2PEntry: UInt64 = ~0
  public static let m2pLinearAddress: UInt64 = 0xFFFF_8000_0000_0000
  /// What XENMEM_machphys_mapping tells a domU: the end of the table's address range and its last index.
  public static let m2pLinearEnd: UInt64 = 0xFFFF_8040_0000_0000
  public static let m2pLastFrame: UInt64 = 0x7_FFFF_FFFF

  /// Entry of L4 slot 256: read-only, no execution.
  var m2pRootEntry: UInt64 { 1 << 63 | m2pTable << 12 | 0x25 }

  private var entries: UnsafeMutablePointer<UInt64> {
    (memory.base + Int(m2pBase << 12)).assumingMemoryBound(to: UInt64.self)
  }

  /// Sets a frame's pfn; beyond the machine nothing happens.
  public func setM2P(_ mfn: UInt64, _ pfn: UInt64) {
    guard mfn < frameCount else { return }
    entries[Int(mfn)] = pfn
  }

  /// A frame's pfn, ~0 if it has none.
  public func m2p(_ mfn: UInt64) -> UInt64 {
    guard mfn < frameCount else { return Self.invalidM2PEntry }
    return entries[Int(mfn)]
  }

  /// Writes every entry as it must be when the guest starts.
  func fillM2P() {
    let p = entries
    let total = m2pFrames * 512
    var n = 0
    if order == .identity {
      while n < guestPages {
        p[n] = UInt64(truncatingIfNeeded: n)
        n += 1
      }
    }
    while n < total {
      p[n] = Self.invalidM2PEntry
      n += 1
    }
    if order == .identity { return }
    var pfn: UInt64 = 0
    for mfn in initialFrames {
      p[Int(mfn)] = pfn
      pfn += 1
    }
  }

  /// Large pages for whole 2 MiB of the table, an L1 for the rest: what is not backed faults.
  func buildM2PTables() {
    let l2 = m2pTable + 1
    let l1 = m2pTable + 2
    let noExecute: UInt64 = 1 << 63
    memory.store(noExecute | l2 << 12 | 0x25, at: m2pTable << 12)
    var chunk = 0
    while (chunk + 1) * 512 <= m2pFrames {
      let target = (m2pBase + UInt64(chunk * 512)) << 12
      memory.store(noExecute | target | 0xE5, at: l2 << 12 + UInt64(chunk * 8))
      chunk += 1
    }
    guard m2pFrames & 511 != 0 else { return }
    memory.store(noExecute | l1 << 12 | 0x25, at: l2 << 12 + UInt64(chunk * 8))
    for n in (chunk * 512)..<m2pFrames {
      let target = (m2pBase + UInt64(n)) << 12
      memory.store(noExecute | target | 0x65, at: l1 << 12 + UInt64((n & 511) * 8))
    }
  }
}
