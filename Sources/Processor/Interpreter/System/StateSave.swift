import CHost
import X86

// FXSAVE, FXRSTOR and the XSAVE family (SDM volume 1, chapter 13; volume 2), for x87, SSE and AVX.
//
// One definition for both engines and every host: instruction and operand pointers and the opcode are 0 in every image; a
// component is in use exactly when its state differs from the initial one (MXCSR counts as SSE's); the only optimization of
// XSAVEOPT is to leave out what is not in use.

enum StateComponent {
  static let x87: UInt64 = 1
  static let sse: UInt64 = 2
  static let avx: UInt64 = 4
  static let all: UInt64 = 7
}

private enum Image {
  static let legacy = 512
  static let header = 64
  static let avx = 576
  static let size = 832
  static let mxcsrMask: UInt32 = 0xFFFF
}

func registerStateSave(_ table: inout LoweringTable) {
  let forms: [(String, pv_handler)] = [
    ("fxsave", saveLegacy), ("fxrstor", restoreLegacy), ("xsave", saveExtended), ("xsaveopt", saveOptimized),
    ("xsavec", saveCompacted), ("xsaves", saveSupervisor), ("xrstor", restoreExtended), ("xrstors", restoreSupervisor),
  ]
  for (name, handler) in forms {
    for suffix in ["", "64"] { table.register(name + suffix, lowerer: running(handler)) }
  }
}

/// XINUSE.
func stateInUse(_ cpu: CPU) -> UInt64 {
  settleX87(cpu)
  syncMXCSR(cpu)
  var used: UInt64 = 0
  if x87InUse(cpu) { used |= StateComponent.x87 }
  if cpu.pointee.mxcsr != 0x1F80 { used |= StateComponent.sse }
  var low: UInt64 = 0
  var high: UInt64 = 0
  let ymm = registerFile(cpu, StateOffset.ymm)
  for n in 0..<16 {
    low |= ymm[n * 4] | ymm[n * 4 + 1]
    high |= ymm[n * 4 + 2] | ymm[n * 4 + 3]
  }
  if low != 0 { used |= StateComponent.sse }
  if high != 0 { used |= StateComponent.avx }
  return used
}

private func x87InUse(_ cpu: CPU) -> Bool {
  if cpu.pointee.x87_control_status != 0x37F || cpu.pointee.x87_top != 0 || cpu.pointee.x87_tags != 0 { return true }
  let registers = registerFile(cpu, StateOffset.x87)
  var any: UInt64 = 0
  for n in 0..<8 { any |= registers[n * 2] | registers[n * 2 + 1] & 0xFFFF }
  return any != 0
}

@inline(__always) private func registerFile(_ cpu: CPU, _ offset: Int) -> UnsafeMutablePointer<UInt64> {
  (UnsafeMutableRawPointer(cpu) + offset).assumingMemoryBound(to: UInt64.self)
}

/// Registers the legacy area holds: all sixteen in 64-bit mode.
private func vectorCount(_ cpu: CPU) -> Int { cpu.pointee.mode == 0 ? 16 : 8 }

// MARK: - Components to and from an image

private typealias ImageBuffer = UnsafeMutableRawPointer

private func putX87(_ cpu: CPU, _ image: ImageBuffer) {
  let word = cpu.pointee.x87_control_status
  let top = cpu.pointee.x87_top & 7
  image.storeBytes(of: UInt16(truncatingIfNeeded: word), toByteOffset: 0, as: UInt16.self)
  image.storeBytes(of: UInt16(truncatingIfNeeded: (word >> 16) & 0xC7FF | top << 11), toByteOffset: 2, as: UInt16.self)
  image.storeBytes(of: cpu.pointee.x87_tags & 0xFF, toByteOffset: 4, as: UInt32.self)
  image.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
  image.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
  let registers = registerFile(cpu, StateOffset.x87)
  for n in 0..<8 {
    let physical = (n + Int(top)) & 7
    image.storeBytes(of: registers[physical * 2], toByteOffset: 32 + n * 16, as: UInt64.self)
    image.storeBytes(of: registers[physical * 2 + 1] & 0xFFFF, toByteOffset: 40 + n * 16, as: UInt64.self)
  }
}

private func takeX87(_ cpu: CPU, _ image: UnsafeRawPointer) {
  let control = image.loadUnaligned(fromByteOffset: 0, as: UInt16.self)
  let status = image.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
  let tags = image.loadUnaligned(fromByteOffset: 4, as: UInt8.self)
  setX87State(cpu, control: control, status: status, tags: tags)
  let top = Int(cpu.pointee.x87_top)
  let registers = registerFile(cpu, StateOffset.x87)
  for n in 0..<8 {
    let physical = (n + top) & 7
    registers[physical * 2] = image.loadUnaligned(fromByteOffset: 32 + n * 16, as: UInt64.self)
    registers[physical * 2 + 1] = UInt64(image.loadUnaligned(fromByteOffset: 40 + n * 16, as: UInt16.self))
  }
}

private func initX87(_ cpu: CPU) {
  setX87State(cpu, control: 0x37F, status: 0, tags: 0)
  registerFile(cpu, StateOffset.x87).update(repeating: 0, count: 16)
}

/// Loads control, status (with TOP) and the abridged tag word. ES and B follow from the flags and the masks, as the processor
/// makes them.
func setX87State(_ cpu: CPU, control: UInt16, status: UInt16, tags: UInt8) {
  let control = UInt32(control) & 0x1F7F | 0x40
  var status = UInt32(status)
  cpu.pointee.x87_top = status >> 11 & 7
  status &= 0x477F
  if status & ~control & 0x3F != 0 { status |= 0x8080 }
  cpu.pointee.x87_control_status = control | status << 16
  cpu.pointee.x87_tags = UInt32(tags)
}

private func putMXCSR(_ cpu: CPU, _ image: ImageBuffer) {
  image.storeBytes(of: cpu.pointee.mxcsr, toByteOffset: 24, as: UInt32.self)
  image.storeBytes(of: Image.mxcsrMask, toByteOffset: 28, as: UInt32.self)
}

/// Copies 16-byte lanes between YMM registers (`lane` 0 low, 2 high) and an image.
private func putLanes(_ cpu: CPU, _ image: ImageBuffer, at offset: Int, lane: Int) {
  let ymm = registerFile(cpu, StateOffset.ymm)
  for n in 0..<vectorCount(cpu) {
    image.storeBytes(of: ymm[n * 4 + lane], toByteOffset: offset + n * 16, as: UInt64.self)
    image.storeBytes(of: ymm[n * 4 + lane + 1], toByteOffset: offset + n * 16 + 8, as: UInt64.self)
  }
}

/// From no image: zeros.
private func takeLanes(_ cpu: CPU, _ image: UnsafeRawPointer?, at offset: Int, lane: Int) {
  let ymm = registerFile(cpu, StateOffset.ymm)
  for n in 0..<vectorCount(cpu) {
    ymm[n * 4 + lane] = image?.loadUnaligned(fromByteOffset: offset + n * 16, as: UInt64.self) ?? 0
    ymm[n * 4 + lane + 1] = image?.loadUnaligned(fromByteOffset: offset + n * 16 + 8, as: UInt64.self) ?? 0
  }
}

private func setMXCSR(_ cpu: CPU, _ value: UInt32) {
  cpu.pointee.mxcsr = value
  loadMXCSR(cpu)
}

// MARK: - FXSAVE, FXRSTOR

private func unavailable(_ cpu: CPU) -> Bool {
  settleX87(cpu)
  return cpu.pointee.cr0 & 0xC != 0
}

private func saveLegacy(_ cpu: CPU, _ op: Operation) -> Operation? {
  if unavailable(cpu) { return raise(cpu, op, .nm) }
  let address = cpu.effectiveAddress(op)
  if address & 15 != 0 { return misplaced(cpu, op, address) }
  syncMXCSR(cpu)
  return edit(cpu, op, address, Image.legacy) { image in
    putX87(cpu, image)
    putMXCSR(cpu, image)
    putLanes(cpu, image, at: 160, lane: 0)
  }
}

private func restoreLegacy(_ cpu: CPU, _ op: Operation) -> Operation? {
  if unavailable(cpu) { return raise(cpu, op, .nm) }
  let address = cpu.effectiveAddress(op)
  if address & 15 != 0 { return misplaced(cpu, op, address) }
  return withBuffer { buffer in
    guard touchEnd(cpu, op, address, Image.legacy, write: false) else { return raise(cpu, op) }
    guard let image = readBytes(cpu, op, address, Image.legacy, buffer) else { return raise(cpu, op) }
    let mxcsr = image.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    if mxcsr & ~Image.mxcsrMask != 0 { return raiseGP(cpu, op) }
    takeX87(cpu, image)
    takeLanes(cpu, image, at: 160, lane: 0)
    setMXCSR(cpu, mxcsr)
    return next(cpu, op)
  }
}

/// An image at an address that is not aligned: #GP(0), unless the address is none at all.
private func misplaced(_ cpu: CPU, _ op: Operation, _ address: UInt64) -> Operation? {
  if op.pointee.flags & UInt16(PV_OP_CODE64) != 0 && !isCanonical(address) {
    return raise(cpu, op, op.pointee.flags & UInt16(PV_OP_STACK_SEGMENT) != 0 ? .ss : .gp, 0)
  }
  return raiseGP(cpu, op)
}

/// The last byte of a large image is touched first (as processors do): where both of its pages fault, CR2 is in the second.
func touchEnd(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ count: Int, write: Bool) -> Bool {
  let last = address &+ UInt64(count) &- 1
  if write { return readForWrite(cpu, op, last, UInt8.self) != nil }
  return read(cpu, op, last, UInt8.self) != nil
}

@inline(__always) private func withBuffer(_ body: (UnsafeMutableRawPointer) -> Operation?) -> Operation? {
  withUnsafeTemporaryAllocation(byteCount: Image.size, alignment: 16) { body($0.baseAddress!) }
}

/// Changes `count` bytes of memory in place: what `change` leaves alone keeps its value. Nothing is written where any byte faults.
private func edit(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ count: Int, _ change: (ImageBuffer) -> Void) -> Operation? {
  withBuffer { buffer in
    guard touchEnd(cpu, op, address, count, write: true) else { return raise(cpu, op) }
    guard readForWriteSlow(cpu, op, address, buffer, count) else { return raise(cpu, op) }
    change(buffer)
    guard writeBytes(cpu, op, address, buffer, count) else { return raise(cpu, op) }
    return next(cpu, op)
  }
}

// MARK: - XSAVE

private enum SaveKind {
  case plain
  case optimized
  case compacted
}

private func saveExtended(_ cpu: CPU, _ op: Operation) -> Operation? { save(cpu, op, .plain) }
private func saveOptimized(_ cpu: CPU, _ op: Operation) -> Operation? { save(cpu, op, .optimized) }
private func saveCompacted(_ cpu: CPU, _ op: Operation) -> Operation? { save(cpu, op, .compacted) }

private func saveSupervisor(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let fault = checkExtended(cpu, op) { return fault() }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  return save(cpu, op, .compacted)
}

/// #UD and #NM of the whole family.
private func checkExtended(_ cpu: CPU, _ op: Operation) -> (() -> Operation?)? {
  settleX87(cpu)
  if cpu.pointee.cr4 & (1 << 18) == 0 { return { raise(cpu, op, .ud) } }
  if cpu.pointee.cr0 & 8 != 0 { return { raise(cpu, op, .nm) } }
  return nil
}

/// RFBM: the requested-feature bitmap.
private func requested(_ cpu: CPU) -> UInt64 {
  (cpu.pointee.gpr.2 << 32 | cpu.pointee.gpr.0 & 0xFFFF_FFFF) & cpu.pointee.xcr0
}

private func save(_ cpu: CPU, _ op: Operation, _ kind: SaveKind) -> Operation? {
  if let fault = checkExtended(cpu, op) { return fault() }
  let address = cpu.effectiveAddress(op)
  if address & 63 != 0 { return misplaced(cpu, op, address) }
  let mask = requested(cpu)
  let used = stateInUse(cpu) & mask
  let written = kind == .plain ? mask : used
  let count = written & StateComponent.avx != 0 ? Image.size : Image.avx
  return edit(cpu, op, address, count) { image in
    if written & StateComponent.x87 != 0 { putX87(cpu, image) }
    if written & StateComponent.sse != 0 { putLanes(cpu, image, at: 160, lane: 0) }
    if written & StateComponent.avx != 0 { putLanes(cpu, image, at: Image.avx, lane: 2) }
    // MXCSR is saved with SSE or AVX in the standard form, with SSE alone in the compacted one.
    let wantsMXCSR = kind == .compacted ? written & StateComponent.sse : mask & (StateComponent.sse | StateComponent.avx)
    if wantsMXCSR != 0 { putMXCSR(cpu, image) }
    var header = used
    if kind == .compacted {
      image.storeBytes(of: mask | 1 << 63, toByteOffset: Image.legacy + 8, as: UInt64.self)
    } else {
      header |= image.loadUnaligned(fromByteOffset: Image.legacy, as: UInt64.self) & ~mask
    }
    image.storeBytes(of: header, toByteOffset: Image.legacy, as: UInt64.self)
  }
}

// MARK: - XRSTOR

private func restoreExtended(_ cpu: CPU, _ op: Operation) -> Operation? { restore(cpu, op, supervisor: false) }

private func restoreSupervisor(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let fault = checkExtended(cpu, op) { return fault() }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  return restore(cpu, op, supervisor: true)
}

private func restore(_ cpu: CPU, _ op: Operation, supervisor: Bool) -> Operation? {
  if let fault = checkExtended(cpu, op) { return fault() }
  let address = cpu.effectiveAddress(op)
  if address & 63 != 0 { return misplaced(cpu, op, address) }
  let mask = requested(cpu)
  return withBuffer { buffer in
    // XCOMP_BV is looked at first.
    guard touchEnd(cpu, op, address, Image.legacy + 9, write: false) else { return raise(cpu, op) }
    guard let head = readBytes(cpu, op, address, Image.avx, buffer) else { return raise(cpu, op) }
    let present = head.loadUnaligned(fromByteOffset: Image.legacy, as: UInt64.self)
    let form = head.loadUnaligned(fromByteOffset: Image.legacy + 8, as: UInt64.self)
    guard isLegal(cpu, head + Image.legacy, present, form, supervisor) else { return raiseGP(cpu, op) }
    let compacted = form >> 63 != 0
    let load = mask & present
    var image = head
    if load & StateComponent.avx != 0 {
      guard let whole = readBytes(cpu, op, address, Image.size, buffer) else { return raise(cpu, op) }
      image = whole
    }
    let mxcsr = image.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    // The standard form loads MXCSR with SSE or AVX whatever XSTATE_BV says.
    let takesMXCSR = compacted ? load & StateComponent.sse != 0 : mask & (StateComponent.sse | StateComponent.avx) != 0
    if takesMXCSR && mxcsr & ~Image.mxcsrMask != 0 { return raiseGP(cpu, op) }
    if mask & StateComponent.x87 != 0 {
      if load & StateComponent.x87 != 0 { takeX87(cpu, image) } else { initX87(cpu) }
    }
    if mask & StateComponent.sse != 0 {
      takeLanes(cpu, load & StateComponent.sse != 0 ? image : nil, at: 160, lane: 0)
    }
    if mask & StateComponent.avx != 0 {
      takeLanes(cpu, load & StateComponent.avx != 0 ? image : nil, at: Image.avx, lane: 2)
    }
    if takesMXCSR {
      setMXCSR(cpu, mxcsr)
    } else if compacted && mask & StateComponent.sse != 0 {
      setMXCSR(cpu, 0x1F80)
    }
    return next(cpu, op)
  }
}

/// The checks of the header (SDM volume 1, 13.8 and 13.12).
private func isLegal(_ cpu: CPU, _ header: UnsafeRawPointer, _ present: UInt64, _ form: UInt64, _ supervisor: Bool) -> Bool {
  let enabled = cpu.pointee.xcr0
  var reserved: UInt64 = 0
  for n in 2..<8 {
    // The standard form looks at bytes 23:8 only.
    if form >> 63 != 0 || n == 2 { reserved |= header.loadUnaligned(fromByteOffset: n * 8, as: UInt64.self) }
  }
  if form >> 63 != 0 {
    let listed = form & ~(1 << 63)
    return listed & ~enabled == 0 && present & ~listed == 0 && reserved == 0
  }
  return !supervisor && form == 0 && present & ~enabled == 0 && reserved == 0
}
