import GuestMemory

// The two top-level tables of each vCPU. In kernel mode CR3 is the kernel's, in user mode the user's; whoever changes the
// mode loads CR3, whoever changes the table of the mode that runs loads it here.

extension PageTables {
  /// vm_assist m2p_strict: user tables do not show the M2P.
  var hidesM2P: Bool { (domain?.assists ?? 0) >> 32 & 1 != 0 }

  /// NEW_BASEPTR: the table of kernel mode.
  func setKernelTable(_ v: PVCPU, _ mfn: UInt64) -> Int64 {
    // Frame 0 stands for no table, here as in the calls.
    guard mfn != 0 else { return XenError.invalid.result }
    if mfn == v.kernelTable { return 0 }
    let result = getPageAndType(mfn, .l4)
    if result != 0 {
      settle()
      return result
    }
    showM2P(mfn)
    dropLDT(v)
    let old = v.kernelTable
    v.kernelTable = mfn
    if v.kernelMode { v.vcpu.setPageTableBase(mfn << 12) }
    if old != 0 { putPageAndType(old) }
    settle()
    return 0
  }

  /// NEW_USER_BASEPTR: the table of user mode, 0 for none.
  func setUserTable(_ v: PVCPU, _ mfn: UInt64) -> Int64 {
    if mfn == v.userTable { return 0 }
    if mfn != 0 {
      let result = getPageAndType(mfn, .l4)
      if result != 0 {
        settle()
        return result
      }
      if hidesM2P { hideM2P(mfn) }
    }
    let old = v.userTable
    v.userTable = mfn
    if !v.kernelMode && mfn != 0 { v.vcpu.setPageTableBase(mfn << 12) }
    if old != 0 { putPageAndType(old) }
    settle()
    return 0
  }

  /// For vCPUs that are brought up (VCPUOP_initialise) and for the loader: 0 or a negated error number.
  public func loadTables(_ v: PVCPU, kernel: UInt64, user: UInt64 = 0) -> Int64 {
    let result = setKernelTable(v, kernel)
    return result != 0 ? result : setUserTable(v, user)
  }

  /// MOV to CR3 in kernel mode: false for a bad frame (#GP).
  public func writeCR3(_ v: PVCPU, _ value: UInt64) -> Bool {
    setKernelTable(v, (value & Self.addressMask) >> 12) == 0
  }

  private func showM2P(_ mfn: UInt64) {
    let slot = entries(mfn) + Self.xenSlots.lowerBound
    if slot.pointee == frames.m2pRootEntry { return }
    memory.store(frames.m2pRootEntry, at: mfn << 12 + UInt64(Self.xenSlots.lowerBound * 8))
  }

  private func hideM2P(_ mfn: UInt64) {
    let slot = entries(mfn) + Self.xenSlots.lowerBound
    if slot.pointee == 0 { return }
    memory.store(0 as UInt64, at: mfn << 12 + UInt64(Self.xenSlots.lowerBound * 8))
    state.pointee.flushNeeded = true
  }

  /// Pins the bootstrap L4 that the builder made; entries are checked and adjusted as for any guest.
  ///
  /// - Returns: false if its content is not acceptable.
  public static func pinInitial(_ domain: Domain, l4: UInt64) -> Bool {
    let tables = domain.pageTables
    guard tables.pin(l4, .l4) == 0 else { return false }
    tables.showM2P(l4)
    return true
  }
}
