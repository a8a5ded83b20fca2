import GuestMemory
import Processor

// The guest's GDT and LDT. They are the guest's own pages, typed so that they cannot be mapped writable; what is in them has
// been checked, so the processor may load any of it at CPL 3.

extension PageTables {
  /// GDT entries from here are Xen's own (selector 0xe000).
  public static let firstReservedGDTEntry = 7168
  /// Entries of an LDT at most, and the pages they take.
  static let ldtLimit: UInt64 = 8192
  static let ldtPages = 16

  /// A descriptor as it may stand in a table: code and data with DPL 3, call gates with DPL 0, so that using one is #GP and
  /// its original DPL in the selector's RPL; nil for what is refused (any other system type).
  static func checkDescriptor(_ descriptor: UInt64) -> UInt64? {
    var low = UInt32(truncatingIfNeeded: descriptor)
    var high = UInt32(truncatingIfNeeded: descriptor >> 32)
    if high & 0x8000 == 0 { return descriptor }
    high |= 0x6000
    if high & 0x1000 == 0 && high & 0xF00 != 0 {
      guard high & 0xF00 == 0xC00 else { return nil }
      var selector = low >> 16
      guard selector >> 3 < UInt32(firstReservedGDTEntry) || selector == 0xE033 || selector & 4 != 0 else { return nil }
      high &= ~0x6000
      selector |= 3
      low = low & 0xFFFF | selector << 16
      guard high & 0xFF == 0 else { return nil }
    }
    return UInt64(high) << 32 | UInt64(low)
  }

  func validateDescriptors(_ mfn: UInt64) -> Int64 {
    memory.willWrite(mfn << 12, 4096)
    let e = entries(mfn)
    var n = 0
    while n < 512 {
      guard let checked = Self.checkDescriptor(e[n]) else { return XenError.invalid.result }
      if checked != e[n] { e[n] = checked }
      n += 1
    }
    return 0
  }

  // MARK: GDT

  /// set_gdt: the frames hold `count` entries; all or none of it happens.
  func setGDT(_ v: PVCPU, _ list: [UInt64], entries count: Int) -> Int64 {
    guard count <= Self.firstReservedGDTEntry else { return XenError.invalid.result }
    var taken = 0
    while taken < list.count, getPageAndType(list[taken], .descriptors) == 0 { taken += 1 }
    guard taken == list.count else {
      for mfn in list[..<taken] { putPageAndType(mfn) }
      return XenError.invalid.result
    }
    for mfn in v.gdtFrames { putPageAndType(mfn) }
    v.gdtFrames = list
    v.gdtEntries = count
    settle()
    return 0
  }

  /// For vCPUs that are brought up (VCPUOP_initialise): as set_gdt.
  public func loadGDT(_ v: PVCPU, frames: [UInt64], entries: Int) -> Int64 { setGDT(v, frames, entries: entries) }

  /// update_descriptor.
  func updateDescriptor(_ address: UInt64, _ descriptor: UInt64) -> Int64 {
    guard address & 7 == 0, let checked = Self.checkDescriptor(descriptor) else { return XenError.invalid.result }
    let mfn = address >> 12
    guard frames.belongsToGuest(mfn) else { return XenError.invalid.result }
    let f = info[Int(truncatingIfNeeded: mfn)]
    guard f.typeCount == 0 || f.type == .writable || f.type == .descriptors else { return XenError.invalid.result }
    memory.store(checked, at: address)
    return 0
  }

  // MARK: LDT

  /// MMUEXT_SET_LDT. Its pages are taken when a selector of theirs is first loaded.
  public func setLDT(_ v: PVCPU, _ linear: UInt64, _ count: UInt64) -> Int64 {
    let top = Int64(bitPattern: linear) >> 47
    let hole: Range<UInt64> = 0xFFFF_8000_0000_0000..<0xFFFF_8800_0000_0000
    guard linear & 4095 == 0, count <= Self.ldtLimit, top == 0 || top == -1, !hole.contains(linear) else {
      return XenError.invalid.result
    }
    if v.ldtBase == linear && v.ldtEntries == Int(count) { return 0 }
    dropLDT(v)
    v.ldtBase = linear
    v.ldtEntries = Int(count)
    return 0
  }

  func dropLDT(_ v: PVCPU) {
    guard ldtFrames.indices.contains(v.id) else { return }
    for page in 0..<Self.ldtPages {
      let held = ldtFrames[v.id][page]
      if held == 0 { continue }
      ldtFrames[v.id][page] = 0
      putPageAndType(held &- 1)
    }
  }

  func dropAllLDTs() {
    guard let domain else { return }
    for v in domain.vcpus { dropLDT(v) }
  }

  /// Frame of a page of the LDT, taking it as such on first use; nil where it is not mapped or may not be one.
  private func ldtFrame(_ v: PVCPU, page: Int) -> UInt64? {
    guard ldtFrames.indices.contains(v.id), page < Self.ldtPages else { return nil }
    let held = ldtFrames[v.id][page]
    if held != 0 { return held - 1 }
    guard let slot = l1Entry(v.kernelTable, v.ldtBase &+ UInt64(page) &* 4096),
      let entry: UInt64 = memory.load(slot), entry & Self.present != 0
    else { return nil }
    let mfn = frame(entry)
    guard getPageAndType(mfn, .descriptors) == 0 else { return nil }
    ldtFrames[v.id][page] = mfn + 1
    return mfn
  }

  // MARK: Loading

  /// Xen's own entries as the guest sees them (xen-x86_64.h): only the three ring-3 ones can be loaded at CPL 3.
  static func reservedDescriptor(_ index: Int, vcpu: Int) -> UInt64 {
    switch index - firstReservedGDTEntry {
    case 1: return 0x00AF_9B00_0000_FFFF  // 0xe008 ring 0 code
    case 2: return 0x00CF_9300_0000_FFFF  // 0xe010 ring 0 data
    case 4: return 0x00CF_FB00_0000_FFFF  // 0xe023 FLAT_RING3_CS32
    case 5: return 0x00CF_F300_0000_FFFF  // 0xe02b FLAT_RING3_DS32
    case 6: return 0x00AF_FB00_0000_FFFF  // 0xe033 FLAT_RING3_CS64
    case 8: return 0x0000_8B00_0000_0067  // 0xe040 TSS
    case 12: return 0x0040_9100_0000_0000 | UInt64(vcpu & 0xFFFF)  // 0xe060: the limit tells the CPU
    default: return 0
    }
  }

  /// The descriptor of a selector that vCPU `v` loads.
  public func descriptor(_ v: PVCPU, _ selector: UInt16) -> VCPU.DescriptorRead {
    let index = Int(selector >> 3)
    if selector & 4 == 0 {
      if index >= 7680 { return .outside }
      if index >= Self.firstReservedGDTEntry { return .descriptor(Self.reservedDescriptor(index, vcpu: v.id)) }
      let page = index >> 9
      guard page < v.hot.pointee.gdtCount else { return .descriptor(0) }
      return .descriptor(entries(v.hot.pointee.gdt[page])[index & 511])
    }
    guard index < v.ldtEntries else { return .outside }
    let linear = v.ldtBase &+ UInt64(index) &* 8
    let top = Int64(bitPattern: linear) >> 47
    guard top == 0 || top == -1 else { return .outside }
    guard let mfn = ldtFrame(v, page: index >> 9) else {
      return .pageFault(errorCode: v.kernelMode ? 0 : 4, linear: linear)
    }
    return .descriptor(entries(mfn)[index & 511])
  }

  /// What the processor reads descriptors with.
  public static func makeDescriptorReader(_ domain: Domain, _ v: PVCPU) -> (UInt16) -> VCPU.DescriptorRead {
    { [unowned domain, unowned v] selector in domain.pageTables.descriptor(v, selector) }
  }
}
