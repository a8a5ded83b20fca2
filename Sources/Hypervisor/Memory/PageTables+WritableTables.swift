import CHost
import GuestMemory
import Processor

// Writable page tables: guest kernels store to level-1 tables as if they were plain memory. The page is mapped read-only, so
// the store comes here before it would fault, and is done as the mmu_update that it stands for.

extension PageTables {
  func installWriteHook(_ hook: WriteHook) {
    let cpu = hook.pvcpu.vcpu.cpu
    cpu.pointee.page_table_context = Unmanaged.passUnretained(hook).toOpaque()
    cpu.pointee.page_table_write = { context, _, _, address, size, value, probe in
      guard let context else { return 0 }
      return Unmanaged<WriteHook>.fromOpaque(context)._withUnsafeGuaranteedRef { hook in
        guard hook.pvcpu.kernelMode else { return 0 }
        return hook.tables.store(value, size: Int(size), at: address, probe: probe != 0) ? 1 : 0
      }
    }
  }

  /// A kernel-mode store of 1, 2, 4 or 8 bytes to a read-only page.
  ///
  /// - Parameter probe: do nothing, say whether such a store may be tried.
  /// - Returns: false where the guest is to have its page fault: the page is no level-1 table, the store is misaligned, the
  ///   new entry is refused, or the domain has not asked for this (vm_assist type 2).
  func store(_ value: UInt64, size: Int, at address: UInt64, probe: Bool) -> Bool {
    guard (domain?.assists ?? 0) & 4 != 0, size == 1 || size == 2 || size == 4 || size == 8 else { return false }
    let mfn = address >> 12
    guard address & UInt64(size - 1) == 0, frames.belongsToGuest(mfn) else { return false }
    guard info[Int(truncatingIfNeeded: mfn)].isUsed(as: .l1) else { return false }
    if probe { return true }
    let index = Int(truncatingIfNeeded: (address & 4095) >> 3)
    var entry = value
    if size < 8 {
      let shift = (address & 7) &* 8
      let mask = ((UInt64(1) << UInt64(size * 8)) &- 1) << shift
      entry = (entries(mfn)[index] & ~mask) | ((value << shift) & mask)
    }
    let result = changeL1(mfn, index, entry)
    settle()
    return result == 0
  }
}
