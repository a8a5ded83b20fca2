import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A part of the processor's state that both engines must leave the same, by its place in `pv_vcpu`.
struct StateField: Sendable {
  let name: String
  let offset: Int
  let count: Int

  /// Every such part. Left out is what is an engine's own: lazy flags, budget and deadline, and where code and translations are kept.
  static let all: [StateField] = {
    var fields: [StateField] = []
    func add<T>(_ path: PartialKeyPath<pv_vcpu>, _: T.Type, _ names: String...) {
      guard let offset = MemoryLayout<pv_vcpu>.offset(of: path) else { return }
      let size = MemoryLayout<T>.stride
      for (index, name) in names.enumerated() { fields.append(StateField(name: name, offset: offset + index * size, count: size)) }
    }
    add(
      \.gpr, UInt64.self, "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
    add(\.rip, UInt64.self, "rip")
    add(\.extra_cycles, UInt64.self, "extra cycles")
    add(\.cr0, UInt64.self, "cr0")
    add(\.cr2, UInt64.self, "cr2")
    add(\.cr3, UInt64.self, "cr3")
    add(\.cr4, UInt64.self, "cr4")
    add(\.cr8, UInt64.self, "cr8")
    add(\.xcr0, UInt64.self, "xcr0")
    add(\.efer, UInt64.self, "efer")
    add(\.dr, UInt64.self, "dr0", "dr1", "dr2", "dr3", "dr4", "dr5", "dr6", "dr7")
    add(\.seg, pv_segment.self, "es", "cs", "ss", "ds", "fs", "gs")
    add(\.ldt, pv_segment.self, "ldt")
    add(\.tr, pv_segment.self, "tr")
    add(\.gdt, pv_segment.self, "gdt")
    add(\.idt, pv_segment.self, "idt")
    add(\.kernel_gs_base, UInt64.self, "kernel gs base")
    add(\.star, UInt64.self, "star")
    add(\.lstar, UInt64.self, "lstar")
    add(\.cstar, UInt64.self, "cstar")
    add(\.sfmask, UInt64.self, "sfmask")
    add(\.sysenter_cs, UInt64.self, "sysenter cs")
    add(\.sysenter_esp, UInt64.self, "sysenter esp")
    add(\.sysenter_eip, UInt64.self, "sysenter eip")
    add(\.tsc_aux, UInt64.self, "tsc aux")
    add(\.cpl, UInt32.self, "cpl")
    add(\.mode, UInt32.self, "mode")
    add(\.interrupt_shadow, UInt8.self, "interrupt shadow")
    add(\.nonmaskable_blocked, UInt32.self, "non-maskable interrupts blocked")
    add(\.tsc_offset, UInt64.self, "time-stamp counter's offset")
    add(\.mxcsr, UInt32.self, "mxcsr")
    add(\.x87_control_status, UInt32.self, "x87 control and status")
    add(\.x87_top, UInt32.self, "x87 top")
    add(\.x87_tags, UInt32.self, "x87 tags")
    add(\.x87_ip, UInt64.self, "x87 ip")
    add(\.x87_dp, UInt64.self, "x87 dp")
    add(\.x87_opcode, UInt16.self, "x87 opcode")
    add(\.x87_cs, UInt16.self, "x87 cs")
    add(\.x87_ds, UInt16.self, "x87 ds")
    add(\.random, UInt64.self, "random")
    for number in 0..<8 {
      guard let offset = MemoryLayout<pv_vcpu>.offset(of: \pv_vcpu.x87) else { continue }
      fields.append(StateField(name: "x87 register \(number)", offset: offset + number * 16, count: 10))
    }
    for number in 0..<16 {
      guard let offset = MemoryLayout<pv_vcpu>.offset(of: \pv_vcpu.ymm) else { continue }
      fields.append(StateField(name: "ymm\(number)", offset: offset + number * 32, count: 32))
    }
    return fields
  }()
}

/// A copy of a virtual CPU's state, to be compared with another's and to be shown.
public struct StateCapture: Sendable {
  private var values: [[UInt8]]
  /// RFLAGS with the arithmetic flags computed, and the cycle.
  public let flags: UInt64
  public let cycle: UInt64
  public let instructions: UInt64

  public init(_ vcpu: VCPU) {
    let raw = UnsafeRawPointer(vcpu.cpu)
    values = StateField.all.map { [UInt8](UnsafeRawBufferPointer(start: raw + $0.offset, count: $0.count)) }
    flags = vcpu.cpu.rflags
    cycle = vcpu.now
    instructions = vcpu.instructions
  }

  /// Names and values (hexadecimal, this one's first) of what is not the same.
  public func differences(from other: StateCapture) -> [(name: String, this: String, other: String)] {
    var found: [(String, String, String)] = []
    for (index, field) in StateField.all.enumerated() where values[index] != other.values[index] {
      found.append((field.name, Self.hex(values[index]), Self.hex(other.values[index])))
    }
    if flags != other.flags { found.append(("flags", Self.hex(flags), Self.hex(other.flags))) }
    if cycle != other.cycle { found.append(("cycle", "\(cycle)", "\(other.cycle)")) }
    return found
  }

  /// The general registers, RIP and flags, four on a line.
  public var general: [String] {
    var lines: [String] = []
    let names = StateField.all.prefix(17).map(\.name) + ["flags"]
    let texts = values.prefix(17).map(Self.hex) + [Self.hex(flags)]
    for start in stride(from: 0, to: names.count, by: 4) {
      let words = (start..<min(start + 4, names.count)).map { (names[$0] + "   ").prefix(6) + texts[$0] }
      lines.append(words.joined(separator: "  "))
    }
    return lines
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Little-endian bytes as a number, a line under every eight.
  private static func hex(_ bytes: [UInt8]) -> String {
    var text = ""
    for (index, byte) in bytes.enumerated().reversed() {
      text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
      if index > 0 && index % 8 == 0 { text += "_" }
    }
    return text
  }
}

extension VCPU {
  /// Whether another virtual CPU is in the same state, clock included.
  public func agrees(with other: VCPU) -> Bool {
    guard now == other.now, cpu.rflags == other.cpu.rflags else { return false }
    let (mine, others) = (UnsafeRawPointer(cpu), UnsafeRawPointer(other.cpu))
    for field in StateField.all where memcmp(mine + field.offset, others + field.offset, field.count) != 0 { return false }
    return true
  }
}
