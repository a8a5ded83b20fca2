import GuestMemory
import Processor

/// The memory half of the hypercalls: (domain, vCPU, arguments) -> RAX.
public enum MemoryHypercalls {
  /// A domain that a call names.
  enum Named {
    case own
    case io
    /// A domain that is there, over which this one has no rights.
    case forbidden
    case unknown
  }

  /// Who the "foreign domain" of the MMU calls is. A domain must call itself DOMID_SELF.
  static func foreignDomain(_ id: UInt16, _ domain: Domain) -> Named {
    switch DomainID(id) {
    case .self: return .own
    case .io: return .io
    case .xen, .control: return domain.id == .control ? .own : .forbidden
    default: return .unknown
    }
  }

  /// The domain of a memory_op: either name of its own will do.
  static func anyDomain(_ id: UInt16, _ domain: Domain) -> Named {
    if DomainID(id) == .self || DomainID(id) == domain.id { return .own }
    return DomainID(id) == .control ? .forbidden : .unknown
  }

  /// Stores how many elements were done, where the guest asked; a bad pointer is ignored.
  static func report(_ done: UInt32, at pointer: UInt64, _ v: PVCPU) {
    if pointer != 0 { _ = v.vcpu.writeGuest(pointer, done) }
  }

  // MARK: 1 mmu_update

  /// mmu_update(requests, count, *done, foreign domain): 16-byte elements {machine address | command, value}.
  public static func mmuUpdate(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let count = UInt32(truncatingIfNeeded: a.a1) & 0x7FFF_FFFF
    let foreign = UInt32(truncatingIfNeeded: a.a3)
    let tableOwner = foreign >> 16
    var forbidden = false
    if tableOwner != 0 {
      let id = DomainID(UInt16(truncatingIfNeeded: tableOwner &- 1))
      if id != domain.id {
        guard id == .control else { return XenError.search.result }
        forbidden = true
      }
    }
    var owner = PageOwner.guest
    switch foreignDomain(UInt16(truncatingIfNeeded: foreign), domain) {
    case .own: break
    case .io: owner = .io
    case .forbidden: forbidden = true
    case .unknown: return XenError.search.result
    }
    let tables = domain.pageTables
    var done: UInt32 = 0
    var result: Int64 = 0
    var at = a.a0
    while done < count {
      var request: (pointer: UInt64, value: UInt64) = (0, 0)
      guard withUnsafeMutableBytes(of: &request, { v.vcpu.readGuest(at, into: $0) }) else {
        result = XenError.fault.result
        break
      }
      let (pointer, value) = request
      let command = pointer & 7
      if command > 3 {
        result = XenError.noSys.result
      } else if forbidden {
        result = XenError.perm.result
      } else if command == 1 {
        result = machphysUpdate(domain, pointer >> 12, value, owner)
      } else {
        result = tables.update(pointer & ~7, value, preserveAccessed: command == 2, owner: owner)
      }
      if result != 0 { break }
      done &+= 1
      at = at &+ 16
    }
    report(done, at: a.a2, v)
    return result
  }

  private static func machphysUpdate(_ domain: Domain, _ mfn: UInt64, _ pfn: UInt64, _ owner: PageOwner) -> Int64 {
    guard owner == .guest, domain.frames.belongsToGuest(mfn) else { return XenError.invalid.result }
    domain.frames.setM2P(mfn, pfn)
    return 0
  }

  // MARK: 14, 22 update_va_mapping

  /// update_va_mapping(linear, entry, flags). The translations follow the tables by themselves, so of the flags only the
  /// mask of vCPUs is looked at: it must be readable.
  public static func updateVAMapping(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let root = v.kernelMode ? v.kernelTable : v.userTable
    let result = domain.pageTables.updateVAMapping(root: root, a.a0, a.a1)
    return result != 0 || a.a2 & ~7 == 0 ? result : checkFlush(v, a.a2)
  }

  /// update_va_mapping_otherdomain(linear, entry, flags, domain).
  public static func updateVAMappingOtherDomain(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    var owner = PageOwner.guest
    switch foreignDomain(UInt16(truncatingIfNeeded: a.a3), domain) {
    case .own: break
    case .io: owner = .io
    case .forbidden: return XenError.perm.result
    case .unknown: return XenError.search.result
    }
    let root = v.kernelMode ? v.kernelTable : v.userTable
    let result = domain.pageTables.updateVAMapping(root: root, a.a0, a.a1, owner: owner)
    return result != 0 || a.a2 & ~7 == 0 ? result : checkFlush(v, a.a2)
  }

  private static func checkFlush(_ v: PVCPU, _ flags: UInt64) -> Int64 {
    let kind = flags & 3
    guard kind == 1 || kind == 2, flags & ~3 != 4 else { return 0 }
    return v.vcpu.readGuest(flags & ~3, as: UInt8.self) == nil ? XenError.fault.result : 0
  }

  // MARK: 2, 10 descriptors

  /// set_gdt(frames, entries).
  public static func setGDT(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let count = Int(UInt32(truncatingIfNeeded: a.a1))
    guard count <= PageTables.firstReservedGDTEntry else { return XenError.invalid.result }
    var list: [UInt64] = []
    for n in 0..<((count + 511) / 512) {
      guard let mfn: UInt64 = v.vcpu.readGuest(a.a0 &+ UInt64(n) &* 8) else { return XenError.fault.result }
      list.append(mfn)
    }
    return domain.pageTables.setGDT(v, list, entries: count)
  }

  /// update_descriptor(machine address, descriptor).
  public static func updateDescriptor(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    domain.pageTables.updateDescriptor(a.a0, a.a1)
  }

  // MARK: 21 vm_assist

  /// vm_assist(0 enable / 1 disable, type): types 0 to 5 and 32.
  public static func vmAssist(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let type = UInt64(UInt32(truncatingIfNeeded: a.a1))
    guard type <= 5 || type == 32 else { return XenError.invalid.result }
    switch UInt32(truncatingIfNeeded: a.a0) {
    case 0: domain.assists |= 1 << type
    case 1: domain.assists &= ~(1 << type)
    default: return XenError.noSys.result
    }
    return 0
  }
}
