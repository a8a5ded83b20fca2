import CHost
import GuestMemory
import Processor

/// Latches that an unowned port range still has: the CMOS index (0x70) and the PCI configuration address (0xcf8).
struct PortLatches: Codable, Sendable, Equatable {
  var cmosIndex: UInt8 = 0
  var pciAddress: UInt32 = 0
}

/// IN, OUT, INS, OUTS. A guest without devices of its own reads all ones and writes nowhere.
enum Ports {
  /// CLI, STI and ports by virtual IOPL: the guest kernel counts as ring 1 (ring 0 with architectural IOPL), the user as 3.
  static func hasIOPL(_ domain: Domain, _ v: PVCPU) -> Bool {
    let ring: UInt8
    if v.kernelMode { ring = domain.assists & Assist.architecturalIOPL != 0 ? 0 : 1 } else { ring = 3 }
    return v.iopl >= ring
  }

  private static func allowed(_ domain: Domain, _ v: PVCPU, _ port: UInt16, _ size: Int) -> Bool {
    if hasIOPL(domain, v) { return true }
    guard v.ioBitmap != 0, UInt32(port) &+ UInt32(size) <= v.ioBitmapPorts else { return false }
    // A set bit denies, as in a TSS.
    for index in UInt64(port)..<UInt64(port) &+ UInt64(size) {
      guard let byte = v.vcpu.readGuest(v.ioBitmap &+ index / 8, as: UInt8.self), byte >> UInt8(index & 7) & 1 == 0 else { return false }
    }
    return true
  }

  static func emulate(_ domain: Domain, _ v: PVCPU, _ e: PrivilegedInstructions.Encoding) -> Bool {
    let cpu = v.cpu
    if e.locked { return false }
    let isByte = e.opcode & 1 == 0
    let size = isByte ? 1 : e.operandSize16 ? 2 : 4
    let immediate = e.opcode <= 0xE7 && e.opcode >= 0xE4
    let port = immediate ? UInt16(e.next) : UInt16(truncatingIfNeeded: cpu.pointee.gpr.2)
    guard allowed(domain, v, port, size) else { return false }
    domain.hot.pointee.exits.port &+= 1
    if e.opcode >= 0x6C && e.opcode <= 0x6F { return string(domain, v, e, port, size) }
    let length = e.length &+ (immediate ? 1 : 0)
    if e.opcode & 2 == 0 {
      let value = UInt64(read(v, port, size))
      switch size {
      case 1: cpu.pointee.gpr.0 = cpu.pointee.gpr.0 & ~0xFF | value
      case 2: cpu.pointee.gpr.0 = cpu.pointee.gpr.0 & ~0xFFFF | value
      default: cpu.pointee.gpr.0 = value
      }
    } else {
      write(v, port, size, UInt32(truncatingIfNeeded: cpu.pointee.gpr.0))
    }
    PrivilegedInstructions.finish(domain, v, length)
    return true
  }

  /// One element of INS or OUTS; a repeated one stays at its instruction until RCX is 0.
  private static func string(_ domain: Domain, _ v: PVCPU, _ e: PrivilegedInstructions.Encoding, _ port: UInt16, _ size: Int) -> Bool {
    let cpu = v.cpu
    let narrow = cpu.pointee.mode != 0 || e.address32
    let mask: UInt64 = narrow ? 0xFFFF_FFFF : .max
    if e.repeated && cpu.pointee.gpr.1 & mask == 0 {
      PrivilegedInstructions.finish(domain, v, e.length)
      return true
    }
    let step = cpu.pointee.rflags & Flag.df != 0 ? 0 &- UInt64(size) : UInt64(size)
    if e.opcode & 2 == 0 {
      let address = (cpu.pointee.gpr.7 & mask) &+ (cpu.pointee.mode == 0 ? 0 : cpu.pointee.seg.0.base)
      let value = read(v, port, size)
      let bytes = (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) }
      guard v.kernelMode || v.vcpu.translate(address, .write) != nil, bytes.withUnsafeBytes({ v.vcpu.writeGuest(address, from: $0) })
      else { return fault(domain, v, address, write: true) }
      cpu.pointee.gpr.7 = (cpu.pointee.gpr.7 &+ step) & mask
    } else {
      var base: UInt64 = cpu.pointee.mode == 0 ? 0 : cpu.pointee.seg.3.base
      if e.segment == 4 { base = cpu.pointee.seg.4.base }
      if e.segment == 5 { base = cpu.pointee.seg.5.base }
      let address = (cpu.pointee.gpr.6 & mask) &+ base
      var value: UInt32 = 0
      for index in 0..<UInt64(size) {
        guard let byte = v.vcpu.readGuest(address &+ index, as: UInt8.self) else { return fault(domain, v, address &+ index, write: false) }
        value |= UInt32(byte) << UInt32(index * 8)
      }
      write(v, port, size, value)
      cpu.pointee.gpr.6 = (cpu.pointee.gpr.6 &+ step) & mask
    }
    if e.repeated {
      cpu.pointee.gpr.1 = (cpu.pointee.gpr.1 &- 1) & mask
      if cpu.pointee.gpr.1 != 0 { return true }
    }
    PrivilegedInstructions.finish(domain, v, e.length)
    return true
  }

  private static func fault(_ domain: Domain, _ v: PVCPU, _ address: UInt64, write: Bool) -> Bool {
    let present: UInt32 = v.vcpu.translate(address, .read) != nil ? 1 : 0
    domain.reflectPageFault(v, errorCode: present | (write ? 2 : 0), address: address)
    return true
  }

  private static func read(_ v: PVCPU, _ port: UInt16, _ size: Int) -> UInt32 {
    if port == 0xCF8 && size == 4 { return v.ports.pciAddress }
    if port == 0x70 && size == 1 { return UInt32(v.ports.cmosIndex) }
    return size == 4 ? .max : size == 2 ? 0xFFFF : 0xFF
  }

  private static func write(_ v: PVCPU, _ port: UInt16, _ size: Int, _ value: UInt32) {
    if port == 0xCF8 && size == 4 { v.ports.pciAddress = value }
    if port == 0x70 && size == 1 { v.ports.cmosIndex = UInt8(truncatingIfNeeded: value) }
  }
}
