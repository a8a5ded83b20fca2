import Processor

/// HYPERVISOR_grant_table_op (20): command, array of structures, their number (Xen's grant_table.h). A guest may look after
/// its own table; it cannot map others' grants here, as there is no other guest.
enum GrantTableHypercall {
  static func run(_ domain: Domain, _ v: PVCPU, _ a: HypercallArguments) -> Int64 {
    let count = UInt32(truncatingIfNeeded: a.a2)
    guard count <= 0x7FFF_FFFF else { return XenError.invalid.result }
    do throws(XenError) {
      switch UInt32(truncatingIfNeeded: a.a0) {
      case 0: try forEach(count) { index throws(XenError) in try map(domain, v, a.a1 &+ index &* 32) }
      case 1: try forEach(count) { index throws(XenError) in try refuse(v, a.a1 &+ index &* 24, 24, at: 0x14, .badHandle) }
      case 2:
        guard count == 1 else { throw .invalid }
        try setupTable(domain, v, a.a1)
      case 4: try forEach(count) { index throws(XenError) in try refuse(v, a.a1 &+ index &* 24, 24, at: 0x14, .badPage) }
      case 5: try forEach(count) { index throws(XenError) in try copy(domain, v, a.a1 &+ index &* 40) }
      case 6:
        guard count == 1 else { throw .invalid }
        try querySize(domain, v, a.a1)
      case 7: try forEach(count) { index throws(XenError) in try refuse(v, a.a1 &+ index &* 32, 32, at: 0x1C, .badHandle) }
      case 8: try setVersion(v, a.a1)
      case 9: try statusFrames(domain, v, a.a1)
      case 10: try version(domain, v, a.a1)
      case 11:
        try forEach(count) { index throws(XenError) in
          try refuse(v, a.a1 &+ index &* 12, 12, at: 8, .badReference)
        }
      default: throw .noSys
      }
      return 0
    } catch { return error.result }
  }

  private static func forEach(_ count: UInt32, _ body: (UInt64) throws(XenError) -> Void) throws(XenError) {
    var index: UInt64 = 0
    while index < UInt64(count) {
      try body(index)
      index &+= 1
    }
  }

  private static func read<T: FixedWidthInteger>(_ v: PVCPU, _ address: UInt64, _: T.Type) throws(XenError) -> T {
    guard let value = v.vcpu.readGuest(address, as: T.self) else { throw .fault }
    return value
  }

  private static func write<T: FixedWidthInteger>(_ v: PVCPU, _ address: UInt64, _ value: T) throws(XenError) {
    guard v.vcpu.writeGuest(address, value) else { throw .fault }
  }

  /// Answers one structure of `size` bytes with a status.
  private static func refuse(_ v: PVCPU, _ address: UInt64, _ size: UInt64, at offset: UInt64, _ status: GrantStatus) throws(XenError) {
    _ = try read(v, address &+ size &- 1, UInt8.self)
    try write(v, address &+ offset, status.rawValue)
  }

  private static func isSelf(_ domain: Domain, _ id: UInt16) -> Bool { id == DomainID.`self`.rawValue || id == domain.id.rawValue }

  /// gnttab_map_grant_ref, 32 bytes: host_addr 0, flags 8, ref 12, dom 16, status 18, handle 20, dev_bus_addr 24.
  private static func map(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    let reference = try read(v, address &+ 12, UInt32.self)
    let id = try read(v, address &+ 16, UInt16.self)
    var status = GrantStatus.badDomain
    // DOMID_SELF is no name for a granting domain.
    if id == domain.id.rawValue {
      status = domain.grants.address(of: reference) == nil ? .badReference : .generalError
    } else if id == DomainID.control.rawValue {
      status = .badReference
    }
    try write(v, address &+ 18, status.rawValue)
  }

  /// gnttab_copy, 40 bytes: source {u 0, domid 8, offset 10}, dest {16, 24, 26}, len 32, flags 34, status 36.
  private static func copy(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    let source = try read(v, address &+ 8, UInt16.self)
    let destination = try read(v, address &+ 24, UInt16.self)
    let known = (isSelf(domain, source) || source == 0) && (isSelf(domain, destination) || destination == 0)
    let status = known ? GrantStatus.permissionDenied : .badDomain
    try write(v, address &+ 36, status.rawValue)
  }

  /// gnttab_setup_table, 24 bytes: dom 0, nr_frames 4, status 8, frame_list 16.
  private static func setupTable(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    let id = try read(v, address, UInt16.self)
    let count = try read(v, address &+ 4, UInt32.self)
    let list = try read(v, address &+ 16, UInt64.self)
    var status = GrantStatus.okay
    if !isSelf(domain, id) {
      status = id == DomainID.control.rawValue ? .permissionDenied : .badDomain
    } else if !domain.grants.grow(to: count) {
      status = .generalError
    } else {
      for index in 0..<Int(count) where !v.vcpu.writeGuest(list &+ UInt64(index) &* 8, domain.grants.frames[index]) {
        status = .badVirtualAddress
        break
      }
    }
    try write(v, address &+ 8, status.rawValue)
  }

  /// gnttab_query_size, 16 bytes: dom 0, nr_frames 4, max_nr_frames 8, status 12.
  private static func querySize(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    let id = try read(v, address, UInt16.self)
    var status = GrantStatus.okay
    if isSelf(domain, id) {
      _ = domain.grants.grow(to: 1)
      try write(v, address &+ 4, UInt32(domain.grants.frames.count))
      try write(v, address &+ 8, domain.grants.maximumFrames)
    } else {
      status = id == DomainID.control.rawValue ? .permissionDenied : .badDomain
    }
    try write(v, address &+ 12, status.rawValue)
  }

  /// Version 1 is all there is: a request for 2 is answered with 1, which guests take for "stay on version 1".
  private static func setVersion(_ v: PVCPU, _ address: UInt64) throws(XenError) {
    let wanted = try read(v, address, UInt32.self)
    guard wanted == 1 || wanted == 2 else { throw .invalid }
    try write(v, address, UInt32(1))
    if wanted == 2 { throw .noSys }
  }

  /// gnttab_get_version, 8 bytes: dom 0, version 4.
  private static func version(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    let id = try read(v, address, UInt16.self)
    guard isSelf(domain, id) else { throw id == DomainID.control.rawValue ? .perm : .search }
    try write(v, address &+ 4, UInt32(1))
  }

  /// gnttab_get_status_frames, 16 bytes: version 2 only.
  private static func statusFrames(_ domain: Domain, _ v: PVCPU, _ address: UInt64) throws(XenError) {
    _ = try read(v, address, UInt32.self)
    try write(v, address &+ 6, GrantStatus.generalError.rawValue)
  }
}
