import CHost
import GuestMemory
import Processor

/// VCPUOP_initialise: gives a vCPU that has none its context, struct vcpu_guest_context of 5168 bytes (Xen's
/// arch-x86/xen.h). Offsets are of that structure.
enum VCPUInitialise {
  private static let size = 0x1430
  private static let inKernel: UInt64 = 4
  private static let failsafeMasks: UInt64 = 8
  private static let syscallMasks: UInt64 = 0x10

  static func run(_ domain: Domain, _ v: PVCPU, _ target: PVCPU, _ pointer: UInt64) throws(XenError) -> Int64 {
    guard !target.initialised else { throw .exists }
    let context = Context(bytes: [UInt8](repeating: 0, count: size))
    guard let context = context.filled(from: v, at: pointer) else { throw .fault }
    for offset in [0x288, 0x13F8, 0x1400, 0x1408, 0x1418, 0x1420, 0x1428] where !isCanonical(context.word(offset)) {
      throw .invalid
    }
    target.kernelMode = true
    try check(domain.pageTables.setLDT(target, context.word(0x12D0), context.word(0x12D8) & 0xFFFF_FFFF))
    let entries = Int(context.word(0x1360) & 0xFFFF_FFFF)
    guard entries <= 7168 else { throw .invalid }
    let frames = (0..<((entries + 511) / 512)).map { context.word(0x12E0 + $0 * 8) }
    try check(domain.pageTables.loadGDT(target, frames: frames, entries: entries))
    try check(domain.pageTables.loadTables(target, kernel: context.word(0x1390) >> 12, user: context.word(0x1380) >> 12))
    target.installArchitecture(domain)
    setTraps(target, context)
    setRegisters(domain, target, context)
    target.kernelMode = context.word(0x200) & inKernel != 0
    if !target.kernelMode { target.vcpu.setPageTableBase(target.userTable &<< 12) }
    target.initialised = true
    return 0
  }

  private static func setTraps(_ target: PVCPU, _ context: Context) {
    for index in 0..<256 {
      let at = 0x2D0 + index * 16
      let address = context.word(at + 8)
      let flags = context.byte(at + 1)
      var gate = TrapGate()
      gate.address = isCanonical(address) ? address : 0
      gate.selector = context.half(at + 2)
      gate.dpl = flags & 3
      gate.masksEvents = flags & 4 != 0
      target.traps[Int(context.byte(at))] = gate.address == 0 ? target.traps[Int(context.byte(at))] : gate
    }
    let flags = context.word(0x200)
    target.eventCallback = Callback(address: context.word(0x13F8), masksEvents: true)
    target.failsafeCallback = Callback(address: context.word(0x1400), masksEvents: flags & failsafeMasks != 0)
    target.syscallCallback = Callback(address: context.word(0x1408), masksEvents: flags & syscallMasks != 0)
    target.kernelSS = context.half(0x1368) | 3
    target.kernelSP = context.word(0x1370)
  }

  /// user_regs is at 0x208: R15 first, RAX at 0x50, SS at 0xa0.
  private static func setRegisters(_ domain: Domain, _ target: PVCPU, _ context: Context) {
    let cpu = target.cpu
    func register(_ offset: Int) -> UInt64 { context.word(0x208 + offset) }
    cpu.pointee.gpr = (
      register(0x50), register(0x58), register(0x60), register(0x28), register(0x98), register(0x20), register(0x68), register(0x70),
      register(0x48), register(0x40), register(0x38), register(0x30), register(0x18), register(0x10), register(0x08), register(0x00)
    )
    let rflags = register(0x90)
    cpu.rflags = rflags & ~(Flag.iopl | Flag.vm) & 0x3F_FFFF | Flag.if | 2
    target.iopl = UInt8(truncatingIfNeeded: rflags >> 12 & 3)
    cpu.pointee.rip = register(0x80)
    let cs = context.half(0x208 + 0x88) | 3
    let ss = context.half(0x208 + 0xA0) | 3
    target.loadFlatSegments()
    if cs != FlatSegments.codeSelector, let descriptor = domain.descriptor(target, cs), let segment = descriptor.codeRegister(selector: cs)
    {
      cpu.pointee.seg.1 = segment
      cpu.pointee.mode = descriptor.codeMode
    }
    if ss != FlatSegments.stackSelector, let segment = domain.descriptor(target, ss)?.stackRegister(selector: ss) {
      cpu.pointee.seg.2 = segment
    }
    if cpu.pointee.mode != 0 { target.vcpu.updateMode() }
    func data(_ offset: Int) -> pv_segment {
      let selector = context.half(0x208 + offset)
      let null = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
      return selector & 0xFFFC == 0 ? null : domain.descriptor(target, selector)?.dataRegister(selector: selector) ?? null
    }
    cpu.pointee.seg.0 = data(0xA8)
    cpu.pointee.seg.3 = data(0xB0)
    cpu.pointee.seg.4 = data(0xB8)
    cpu.pointee.seg.5 = data(0xC0)
    cpu.pointee.seg.4.base = context.word(0x1418)
    cpu.pointee.seg.5.base = context.word(0x1420)
    target.inactiveGSBase = context.word(0x1428)
  }

  private static func check(_ result: Int64) throws(XenError) {
    if result != 0 { throw XenError(rawValue: 0 &- result) ?? .invalid }
  }

  /// The structure's bytes, copied once.
  private struct Context {
    var bytes: [UInt8]
    func word(_ offset: Int) -> UInt64 { bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) } }
    func half(_ offset: Int) -> UInt16 { bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt16.self) } }
    func byte(_ offset: Int) -> UInt8 { bytes[offset] }
    func filled(from v: PVCPU, at pointer: UInt64) -> Context? {
      var copy = self
      return copy.bytes.withUnsafeMutableBytes { v.vcpu.readGuest(pointer, into: $0) } ? copy : nil
    }
  }
}
