import CHost

/// An exception that loading a segment register raises. Nothing has been changed.
public struct SegmentFault: Error, Equatable, Sendable {
  public var vector: Vector
  public var errorCode: UInt32
  /// CR2, for a page fault on the descriptor table.
  public var linear: UInt64?
  /// A task switch had happened already.
  var isOfNewTask = false
  public init(_ vector: Vector, _ errorCode: UInt32, linear: UInt64? = nil) {
    self.vector = vector
    self.errorCode = errorCode
    self.linear = linear
  }
  init(_ vector: Vector, selector: UInt16) { self.init(vector, UInt32(selector & 0xFFFC)) }
}

/// A segment descriptor (SDM volume 3, 3.4.5).
struct Descriptor {
  var raw: UInt64
  var base: UInt64 { (raw >> 16) & 0xFF_FFFF | (raw >> 56) << 24 }
  var limit: UInt32 {
    let limit = UInt32(truncatingIfNeeded: raw & 0xFFFF | (raw >> 32) & 0xF_0000)
    return raw >> 55 & 1 == 0 ? limit : limit << 12 | 0xFFF
  }
  var attributes: UInt16 { UInt16(truncatingIfNeeded: (raw >> 40) & 0xFF | (raw >> 44) & 0xF00) }
  var type: UInt8 { UInt8(truncatingIfNeeded: (raw >> 40) & 15) }
  /// S = 0: a gate, a TSS or an LDT.
  var isSystem: Bool { raw >> 44 & 1 == 0 }
  var dpl: UInt32 { UInt32(truncatingIfNeeded: raw >> 45 & 3) }
  var isPresent: Bool { raw >> 47 & 1 != 0 }
  var isCode: Bool { !isSystem && type & 8 != 0 }
  var isConforming: Bool { isCode && type & 4 != 0 }
  var isReadable: Bool { !isSystem && type & 10 != 8 }
  var isWritable: Bool { !isSystem && type & 10 == 2 }
  var isAccessed: Bool { type & 1 != 0 }
  var isLong: Bool { raw >> 53 & 1 != 0 }
  var isBig: Bool { raw >> 54 & 1 != 0 }
}

extension VCPU {
  /// Loads ES, SS, DS, FS or GS (`PV_ES` …) as MOV would at the current privilege level, with every architectural check (SDM
  /// volume 2, MOV). Returns the exception it raises, and then has changed nothing. CS is refused with #UD.
  public func loadSegment(_ register: Int, selector: UInt16) -> SegmentFault? {
    do throws(SegmentFault) {
      try load(register, selector)
      return nil
    } catch {
      return error
    }
  }

  /// Puts a selector and its 8-byte descriptor into a segment register with no checks. CS also sets the code mode, not CPL.
  public func setSegment(_ register: Int, selector: UInt16, descriptor: UInt64) {
    let d = Descriptor(raw: descriptor)
    var segment = pv_segment(base: d.base, limit: d.limit, selector: selector, attributes: d.attributes)
    if register == Int(PV_CS) {
      let long = cpu.longMode
      cpu.pointee.mode = long && d.isLong ? 0 : d.isBig ? 1 : 2
      if cpu.pointee.mode == 0 { segment.base = 0 }
    }
    put(register, segment)
    if cpu.isArchitectural || (cpu.pointee.mode != 0 && (register == Int(PV_CS) || register == Int(PV_SS))) { updateMode() }
  }

  /// Loads a null selector: base and limit become 0, as on Intel's processors.
  public func setNullSegment(_ register: Int, selector: UInt16) {
    put(register, pv_segment(base: 0, limit: 0, selector: selector, attributes: 0))
    if cpu.isArchitectural { updateMode() }
  }

  func put(_ register: Int, _ segment: pv_segment) {
    switch register {
    case 0: cpu.pointee.seg.0 = segment
    case 1: cpu.pointee.seg.1 = segment
    case 2: cpu.pointee.seg.2 = segment
    case 3: cpu.pointee.seg.3 = segment
    case 4: cpu.pointee.seg.4 = segment
    case 5: cpu.pointee.seg.5 = segment
    default: break
    }
  }

  func segment(_ register: Int) -> pv_segment {
    switch register {
    case 0: return cpu.pointee.seg.0
    case 1: return cpu.pointee.seg.1
    case 2: return cpu.pointee.seg.2
    case 3: return cpu.pointee.seg.3
    case 4: return cpu.pointee.seg.4
    default: return cpu.pointee.seg.5
    }
  }

  func load(_ register: Int, _ selector: UInt16) throws(SegmentFault) {
    if register == Int(PV_CS) || register > 5 || register < 0 { throw SegmentFault(.ud, 0) }
    if cpu.hasParagraphs {
      setParagraph(register, selector)
      updateMode()
      return
    }
    if register == Int(PV_SS) {
      guard let d = try stackDescriptor(selector, cpl: cpu.pointee.cpl, long: cpu.pointee.mode == 0) else {
        setNullSegment(register, selector: selector)
        return
      }
      try markAccessed(selector, d)
      setSegment(register, selector: selector, descriptor: d.raw)
      return
    }
    if selector & 0xFFFC == 0 {
      setNullSegment(register, selector: selector)
      return
    }
    guard let d = try descriptor(selector), d.isReadable else { throw SegmentFault(.gp, selector: selector) }
    if !d.isConforming && (UInt32(selector & 3) > d.dpl || cpu.pointee.cpl > d.dpl) { throw SegmentFault(.gp, selector: selector) }
    if !d.isPresent { throw SegmentFault(.np, selector: selector) }
    try markAccessed(selector, d)
    setSegment(register, selector: selector, descriptor: d.raw)
  }

  /// The checks of an SS load for privilege level `cpl`; nil for a null selector where it is allowed (64-bit mode below CPL 3).
  func stackDescriptor(_ selector: UInt16, cpl: UInt32, long: Bool) throws(SegmentFault) -> Descriptor? {
    if selector & 0xFFFC == 0 {
      if long && cpl < 3 && UInt32(selector & 3) == cpl { return nil }
      throw SegmentFault(.gp, 0)
    }
    guard UInt32(selector & 3) == cpl, let d = try descriptor(selector), d.isWritable, d.dpl == cpl else {
      throw SegmentFault(.gp, selector: selector)
    }
    if !d.isPresent { throw SegmentFault(.ss, selector: selector) }
    return d
  }

  /// The descriptor of a non-null selector; nil beyond the table's limit.
  func descriptor(_ selector: UInt16) throws(SegmentFault) -> Descriptor? {
    if let reader = descriptorReader {
      switch reader(selector) {
      case .descriptor(let raw): return Descriptor(raw: raw)
      case .outside: return nil
      case .pageFault(let errorCode, let linear): throw SegmentFault(.pf, errorCode, linear: linear)
      }
    }
    guard let address = descriptorAddress(selector) else { return nil }
    return Descriptor(raw: try readSystem(address))
  }

  private func descriptorAddress(_ selector: UInt16, bytes: UInt32 = 8) -> UInt64? {
    let table = selector & 4 == 0 ? cpu.pointee.gdt : cpu.pointee.ldt
    if selector & 4 != 0 && table.selector & 0xFFFC == 0 { return nil }
    let offset = UInt32(selector & 0xFFF8)
    return offset &+ bytes &- 1 <= table.limit ? table.base &+ UInt64(offset) : nil
  }

  /// The second 8 bytes of a system descriptor of IA-32e mode; #GP(selector) where the table ends before them.
  func upperHalf(_ selector: UInt16) throws(SegmentFault) -> UInt64 {
    guard let address = descriptorAddress(selector, bytes: 16) else { throw SegmentFault(.gp, selector: selector) }
    return try readSystem(address &+ 8)
  }

  /// Sets the accessed bit in the table, where the tables are in guest memory.
  func markAccessed(_ selector: UInt16, _ d: Descriptor) throws(SegmentFault) {
    guard descriptorReader == nil, !d.isAccessed, let address = descriptorAddress(selector) else { return }
    try writeSystem(address &+ 5, UInt8(truncatingIfNeeded: d.raw >> 40) | 1)
  }

  // Descriptor tables are read as supervisor whatever the CPL (SDM volume 3, 4.6.1, implicit supervisor-mode accesses).

  func readSystem<T: FixedWidthInteger & UnsignedInteger>(_ linear: UInt64) throws(SegmentFault) -> T {
    if cpu.isArchitectural { return try asSupervisor { () throws(SegmentFault) -> T in try systemRead(linear) } }
    var value: T = 0
    var n = 0
    while n < MemoryLayout<T>.size {
      let address = try systemAddress(linear &+ UInt64(n), .read)
      let byte: UInt8 = memory.load(address) ?? 0xFF
      value |= T(truncatingIfNeeded: byte) &<< T(truncatingIfNeeded: n &* 8)
      n &+= 1
    }
    return value
  }

  func writeSystem(_ linear: UInt64, _ value: UInt8) throws(SegmentFault) {
    if cpu.isArchitectural { return try asSupervisor { () throws(SegmentFault) -> Void in try systemWrite(linear, value) } }
    memory.store(value, at: try systemAddress(linear, .write))
  }

  private func systemAddress(_ linear: UInt64, _ access: Access) throws(SegmentFault) -> UInt64 {
    let walk = walkAsSystem(linear, access)
    if walk.nonCanonical { throw SegmentFault(.gp, 0) }
    if let errorCode = walk.errorCode { throw SegmentFault(.pf, errorCode, linear: linear) }
    return walk.address
  }
}

/// Raises what a segment load reported.
func raise(_ cpu: CPU, _ op: Operation, _ fault: SegmentFault) -> Operation? {
  if let linear = fault.linear { cpu.pointee.cr2 = linear }
  return raise(cpu, op, fault.vector, fault.vector == .ud ? nil : fault.errorCode)
}
