import CHost
import GuestMemory
import Processor
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The interpreter's side: a vCPU in 64-bit user mode whose code and data pages have the host's linear addresses and contents.
final class SiliconGuest {
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }
  static let codeFrame: UInt64 = 16
  static let dataFrame: UInt64 = 24
  var code: UnsafeMutableRawPointer { memory.base + Int(Self.codeFrame) * 4096 }
  var data: UnsafeMutableRawPointer { memory.base + Int(Self.dataFrame) * 4096 }
  private static let x87 = MemoryLayout<pv_vcpu>.offset(of: \.x87)!
  private static let ymm = MemoryLayout<pv_vcpu>.offset(of: \.ymm)!

  init() throws {
    memory = try MachineMemory(frameCount: 64)
    vcpu = VCPU(memory: memory)
    // L4 at frame 1, L3 at 2, L2 at 3, L1 of the code at 4 and of the data at 5.
    memory.store(UInt64(0x2007), at: 0x1000)
    memory.store(UInt64(0x3007), at: 0x2000)
    memory.store(UInt64(0x4007), at: 0x3000 + UInt64(PSIL_CODE) >> 21 * 8)
    memory.store(UInt64(0x5007), at: 0x3000 + UInt64(PSIL_DATA) >> 21 * 8)
    for page in 0..<UInt64(PSIL_CODE_BYTES) >> 12 {
      memory.store((Self.codeFrame + page) << 12 | 5, at: 0x4000 + page * 8)
    }
    let noExecute: UInt64 = 1 << 63
    for page in 0..<UInt64(PSIL_DATA_BYTES) >> 12 {
      let rights: UInt64 = page < UInt64(PSIL_WRITABLE_BYTES) >> 12 ? 7 : 5
      memory.store((Self.dataFrame + page) << 12 | rights | noExecute, at: 0x5000 + page * 8)
    }
    memset(code, 0xCC, Int(PSIL_CODE_BYTES))
    cpu.pointee.cr0 = 0x8005_0033
    cpu.pointee.cr4 = 0x5_06A0
    cpu.pointee.efer = 0xD01
    cpu.pointee.xcr0 = 7
    cpu.pointee.cpl = 3
    vcpu.descriptorReader = { selector in
      let index = Int(selector >> 3)
      if selector & 4 != 0 || index >= 16 { return .outside }
      return .descriptor(Self.descriptor(index))
    }
    vcpu.setPageTableBase(0x1000)
  }

  /// The descriptors that Linux gives its user programs to see.
  static func descriptor(_ index: Int) -> UInt64 {
    switch index {
    case 1: 0x00CF_9B00_0000_FFFF
    case 2: 0x00AF_9B00_0000_FFFF
    case 3: 0x00CF_9300_0000_FFFF
    case 4: 0x00CF_FB00_0000_FFFF
    case 5: 0x00CF_F300_0000_FFFF
    case 6: 0x00AF_FB00_0000_FFFF
    default: 0
    }
  }

  /// Where ST(i) is: registers are kept by physical number.
  private func x87Offset(_ top: Int, _ i: Int) -> Int {
    let physical = (top + i) & 7
    return Self.x87 + physical * 16
  }

  /// Takes the state of the record that the host will load.
  func load(_ state: UnsafePointer<psil_state>) {
    let raw = UnsafeRawPointer(state)
    let mine = UnsafeMutableRawPointer(cpu)
    mine.copyMemory(from: raw, byteCount: 128)
    cpu.pointee.rip = state.pointee.rip
    cpu.rflags = state.pointee.rflags
    cpu.pointee.interrupt_shadow = 0
    cpu.pointee.single_step = 0
    cpu.pointee.mode = 0
    cpu.pointee.cr2 = 0
    let data: UInt16 = 0
    let empty = pv_segment(base: 0, limit: 0, selector: data, attributes: 0)
    cpu.pointee.seg.0 = empty
    cpu.pointee.seg.3 = empty
    cpu.pointee.seg.1 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0x33, attributes: 0xAFB)
    cpu.pointee.seg.2 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0x2B, attributes: 0xCF3)
    cpu.pointee.seg.4 = pv_segment(base: state.pointee.fs_base, limit: 0, selector: data, attributes: 0)
    cpu.pointee.seg.5 = pv_segment(base: state.pointee.gs_base, limit: 0, selector: data, attributes: 0)
    let image = raw + 256
    let fcw = image.load(as: UInt16.self)
    let fsw = image.load(fromByteOffset: 2, as: UInt16.self)
    let top = Int(fsw >> 11) & 7
    cpu.pointee.x87_control_status = UInt32(fcw) | UInt32(fsw & ~0x3800) << 16
    cpu.pointee.x87_top = UInt32(top)
    cpu.pointee.x87_tags = UInt32(image.load(fromByteOffset: 4, as: UInt8.self))
    cpu.pointee.mxcsr = image.load(fromByteOffset: 24, as: UInt32.self)
    cpu.pointee.vector_ready = 0
    for i in 0..<8 { memcpy(mine + x87Offset(top, i), image + (32 + i * 16), 16) }
    for i in 0..<16 {
      let register: UnsafeMutableRawPointer = mine + Self.ymm + i * 32
      memcpy(register, image + (160 + i * 16), 16)
      memcpy(register + 16, image + (576 + i * 16), 16)
    }
  }

  /// Brings the state into the form of the host's record.
  func store(_ state: UnsafeMutablePointer<psil_state>) {
    let raw = UnsafeMutableRawPointer(state)
    let mine = UnsafeMutableRawPointer(cpu)
    raw.copyMemory(from: mine, byteCount: 128)
    state.pointee.rip = cpu.pointee.rip
    state.pointee.rflags = cpu.rflags
    state.pointee.fs_base = cpu.pointee.seg.4.base
    state.pointee.gs_base = cpu.pointee.seg.5.base
    state.pointee.cr2 = cpu.pointee.cr2
    state.pointee.selectors = (
      cpu.pointee.seg.0.selector, cpu.pointee.seg.1.selector, cpu.pointee.seg.2.selector, cpu.pointee.seg.3.selector,
      cpu.pointee.seg.4.selector, cpu.pointee.seg.5.selector
    )
    let image = raw + 256
    memset(image, 0, 32)
    let top = Int(cpu.pointee.x87_top & 7)
    let status = cpu.pointee.x87_control_status
    image.storeBytes(of: UInt16(truncatingIfNeeded: status), as: UInt16.self)
    image.storeBytes(of: UInt16(truncatingIfNeeded: status >> 16) | UInt16(top << 11), toByteOffset: 2, as: UInt16.self)
    image.storeBytes(of: UInt8(truncatingIfNeeded: cpu.pointee.x87_tags), toByteOffset: 4, as: UInt8.self)
    image.storeBytes(of: cpu.pointee.mxcsr, toByteOffset: 24, as: UInt32.self)
    for i in 0..<8 { memcpy(image + (32 + i * 16), mine + x87Offset(top, i), 16) }
    for i in 0..<16 {
      let register: UnsafeMutableRawPointer = mine + Self.ymm + i * 32
      memcpy(image + (160 + i * 16), register, 16)
      memcpy(image + (576 + i * 16), register + 16, 16)
    }
  }

  /// Runs the one instruction at RIP, or (`stops`) on to a fault.
  func step(stops: Bool) -> Exit { vcpu.run(until: vcpu.now &+ (stops ? 10_000 : 1)) }
}
