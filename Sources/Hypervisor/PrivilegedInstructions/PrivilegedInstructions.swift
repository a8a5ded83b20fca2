import CHost
import GuestMemory
import Processor

/// The privileged instructions that Xen carries out for a PV guest when they raise #GP(0) at CPL 3, and CPUID behind its
/// prefix. What is not in the list is the guest's own fault.
///
/// The list is short and its encodings are simple, so the bytes are read here rather than by the general decoder.
enum PrivilegedInstructions {
  /// An instruction's bytes, as far as they matter.
  struct Encoding {
    var operandSize16 = false
    var address32 = false
    var repeated = false
    var locked = false
    var rex: UInt8 = 0
    /// 0...5 as ES CS SS DS FS GS; -1 none.
    var segment = -1
    /// Opcode; two-byte ones are 0x0f00 | second byte.
    var opcode: UInt16 = 0
    /// Bytes up to and with the opcode.
    var length: UInt64 = 0
    /// The byte after the opcode, if it can be read.
    var next: UInt8 = 0
  }

  /// Emulates the instruction at RIP; false if it is not one of the list or not allowed: reflect the #GP.
  static func emulate(_ domain: Domain, _ v: PVCPU) -> Bool {
    guard let e = decode(v) else { return false }
    let rip = v.cpu.pointee.rip
    let done: Bool
    switch e.opcode {
    case 0x0F30, 0x0F32, 0x0F20, 0x0F21, 0x0F22, 0x0F23, 0x0F06, 0x0F09:
      done = v.kernelMode && !e.locked && kernelOnly(domain, v, e)
    case 0x0F31:
      done = true
      timeStamp(v, processor: false)
      finish(domain, v, e.length)
    case 0x0F01: done = group7(domain, v, e)
    case 0xFA, 0xFB:
      done = Ports.hasIOPL(domain, v)
      if done { finish(domain, v, e.length) }
    case 0xE4...0xE7, 0xEC...0xEF, 0x6C...0x6F: done = Ports.emulate(domain, v, e)
    default: done = false
    }
    if done { v.history.record(.privileged, UInt64(e.opcode), rip) }
    return done
  }

  private static func kernelOnly(_ domain: Domain, _ v: PVCPU, _ e: Encoding) -> Bool {
    let cpu = v.cpu
    switch e.opcode {
    case 0x0F30:
      let value = cpu.pointee.gpr.2 << 32 | cpu.pointee.gpr.0 & 0xFFFF_FFFF
      guard ModelSpecificRegisters.write(domain, v, UInt32(truncatingIfNeeded: cpu.pointee.gpr.1), value) else { return false }
      finish(domain, v, e.length)
    case 0x0F32:
      guard let value = ModelSpecificRegisters.read(domain, v, UInt32(truncatingIfNeeded: cpu.pointee.gpr.1)) else { return false }
      cpu.pointee.gpr.0 = value & 0xFFFF_FFFF
      cpu.pointee.gpr.2 = value >> 32
      finish(domain, v, e.length)
    case 0x0F06:
      v.setTaskSwitched(false)
      finish(domain, v, e.length)
    // WBINVD: there is nothing to write back.
    case 0x0F09: finish(domain, v, e.length)
    case 0x0F20, 0x0F22:
      let number = e.next >> 3 & 7 | (e.rex & 4) << 1
      let register = Int(e.next & 7 | (e.rex & 1) << 3)
      if e.opcode == 0x0F20 {
        guard let value = ControlRegisters.read(v, number) else { return false }
        v.setRegister(register, value)
      } else {
        guard ControlRegisters.write(domain, v, number, v.register(register)) else { return false }
      }
      finish(domain, v, e.length &+ 1)
    default:
      let number = UInt64(e.next >> 3 & 7)
      guard e.rex & 4 == 0 else { return false }
      let register = Int(e.next & 7 | (e.rex & 1) << 3)
      if e.opcode == 0x0F21 {
        guard let value = DebugRegisters.get(v, number) else { return false }
        v.setRegister(register, value)
      } else {
        guard DebugRegisters.set(v, number, v.register(register)) == 0 else { return false }
      }
      finish(domain, v, e.length &+ 1)
    }
    return true
  }

  /// 0F 01: RDTSCP (F9) and XSETBV (D1).
  private static func group7(_ domain: Domain, _ v: PVCPU, _ e: Encoding) -> Bool {
    let cpu = v.cpu
    if e.next == 0xF9 {
      timeStamp(v, processor: true)
      finish(domain, v, e.length &+ 1)
      return true
    }
    guard e.next == 0xD1, !e.locked, !e.operandSize16, !e.repeated else { return false }
    // CR4.OSXSAVE is Xen's; where the guest has not set its own, the instruction does not exist for it.
    if v.cr4 & (1 << 18) == 0 {
      domain.reflectFault(v, 6, errorCode: nil)
      return true
    }
    let value = cpu.pointee.gpr.2 << 32 | cpu.pointee.gpr.0 & 0xFFFF_FFFF
    guard v.kernelMode, UInt32(truncatingIfNeeded: cpu.pointee.gpr.1) == 0, domain.policy.allowsXCR0(value) else { return false }
    cpu.pointee.xcr0 = value
    finish(domain, v, e.length &+ 1)
    return true
  }

  /// RDTSC and RDTSCP while the guest has CR4.TSD set.
  private static func timeStamp(_ v: PVCPU, processor: Bool) {
    let cpu = v.cpu
    let now = v.vcpu.now
    cpu.pointee.gpr.0 = now & 0xFFFF_FFFF
    cpu.pointee.gpr.2 = now >> 32
    if processor { cpu.pointee.gpr.1 = cpu.pointee.tsc_aux & 0xFFFF_FFFF }
  }

  /// CPUID behind Xen's prefix: UD2, "xen", CPUID. False if that is not what stands at RIP.
  static func prefixedCPUID(_ domain: Domain, _ v: PVCPU) -> Bool {
    let cpu = v.cpu
    let rip = cpu.pointee.rip
    guard v.vcpu.readGuest(rip, as: UInt16.self) == 0x0B0F, v.vcpu.readGuest(rip &+ 2, as: UInt16.self) == 0x6578,
      v.vcpu.readGuest(rip &+ 4, as: UInt8.self) == 0x6E, v.vcpu.readGuest(rip &+ 5, as: UInt16.self) == 0xA20F
    else { return false }
    let context = domain.cpuidContext(v, prefixed: true)
    let leaf = UInt32(truncatingIfNeeded: cpu.pointee.gpr.0)
    let subleaf = UInt32(truncatingIfNeeded: cpu.pointee.gpr.1)
    let (eax, ebx, ecx, edx) = domain.policy.cpuid(leaf, subleaf, context)
    cpu.pointee.gpr.0 = UInt64(eax)
    cpu.pointee.gpr.3 = UInt64(ebx)
    cpu.pointee.gpr.1 = UInt64(ecx)
    cpu.pointee.gpr.2 = UInt64(edx)
    v.history.record(.privileged, 0x0FA2, rip)
    finish(domain, v, 7)
    return true
  }

  /// Goes on after an emulated instruction: RF is cleared, and a single step is reported.
  static func finish(_ domain: Domain, _ v: PVCPU, _ length: UInt64) {
    let cpu = v.cpu
    let rip = cpu.pointee.rip &+ length
    cpu.pointee.rip = cpu.pointee.mode == 0 ? rip : rip & 0xFFFF_FFFF
    cpu.pointee.rflags &= ~Flag.rf
    if cpu.pointee.rflags & Flag.tf != 0 {
      cpu.pointee.dr.6 |= 1 << 14
      domain.reflectTrap(v, 1)
    }
  }

  /// Reads prefixes and opcode at RIP; nil if they cannot be read.
  private static func decode(_ v: PVCPU) -> Encoding? {
    let cpu = v.cpu
    var e = Encoding()
    let rip = cpu.pointee.rip
    let long = cpu.pointee.mode == 0
    let narrow = cpu.pointee.mode & UInt32(PV_MODE_CODE) == 2
    e.operandSize16 = narrow
    var at: UInt64 = 0
    while at < 15 {
      guard let byte = v.vcpu.readGuest(rip &+ at, as: UInt8.self) else { return nil }
      at &+= 1
      switch byte {
      case 0x66: e.operandSize16 = !narrow
      case 0x67: e.address32 = true
      case 0xF2, 0xF3: e.repeated = true
      case 0xF0: e.locked = true
      case 0x26: e.segment = 0
      case 0x2E: e.segment = 1
      case 0x36: e.segment = 2
      case 0x3E: e.segment = 3
      case 0x64: e.segment = 4
      case 0x65: e.segment = 5
      case 0x40...0x4F where long:
        e.rex = byte
        continue
      case 0x0F:
        guard let second = v.vcpu.readGuest(rip &+ at, as: UInt8.self) else { return nil }
        e.opcode = 0x0F00 | UInt16(second)
        e.length = at &+ 1
        e.next = v.vcpu.readGuest(rip &+ e.length, as: UInt8.self) ?? 0
        return e
      default:
        e.opcode = UInt16(byte)
        e.length = at
        e.next = v.vcpu.readGuest(rip &+ at, as: UInt8.self) ?? 0
        return e
      }
      // A REX prefix counts only right before the opcode.
      e.rex = 0
    }
    return nil
  }
}

extension PVCPU {
  /// General register by number.
  @inline(__always) func register(_ number: Int) -> UInt64 {
    withUnsafeBytes(of: &cpu.pointee.gpr) { $0.loadUnaligned(fromByteOffset: (number & 15) * 8, as: UInt64.self) }
  }

  @inline(__always) func setRegister(_ number: Int, _ value: UInt64) {
    withUnsafeMutableBytes(of: &cpu.pointee.gpr) { $0.storeBytes(of: value, toByteOffset: (number & 15) * 8, as: UInt64.self) }
  }
}
