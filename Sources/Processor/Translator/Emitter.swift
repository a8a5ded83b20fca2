import CHost

/// Host registers by number, as translated code uses them: guest RAX…RDI but RSP, and R8…R11, are the host's own; guest RSP is in
/// R12; R13 holds the budget; R14 and R15 are scratch; the host's RSP points at `pv_vcpu`. Guest R12…R15 stay in `pv_vcpu`.
enum Host {
  static let rax = 0, rcx = 1, rdx = 2, rsp = 4, rsi = 6, rdi = 7
  static let guestSP = 12, budget = 13, a = 14, b = 15
  /// The host register of a guest register, or nil if that is in memory.
  static func of(_ guest: Int) -> Int? { guest == 4 ? guestSP : guest < 12 ? guest : nil }
}

/// Writes single host instructions. Memory operands are either `[rsp + displacement]` (state) or `[a + b]`.
extension CodeBuffer {
  private func rex(_ w: Bool, _ reg: Int, _ index: Int, _ base: Int, force: Bool = false) {
    let value = 0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3
    if value != 0x40 || force { byte(value) }
  }

  /// Opcodes up to 0xFFFF: 0x0Fxx are two bytes; 0x0F38xx three.
  private func opcode(_ value: Int) {
    if value > 0xFFFF { byte(value >> 16) }
    if value > 0xFF { byte(value >> 8 & 0xFF) }
    byte(value & 0xFF)
  }

  /// op reg, rm with both registers. `size` 1, 2, 4, 8; for byte registers a REX prefix makes SPL… of 4…7.
  func rr(_ op: Int, _ reg: Int, _ rm: Int, size: Int, prefix: Int = 0, byteRegister: Bool = false) {
    if prefix != 0 { byte(prefix) }
    if size == 2 { byte(0x66) }
    rex(size == 8, reg, 0, rm, force: size == 1 || byteRegister)
    opcode(op)
    byte(0xC0 | (reg & 7) << 3 | rm & 7)
  }

  /// op reg, [rsp + displacement].
  func rs(_ op: Int, _ reg: Int, _ displacement: Int, size: Int, byteRegister: Bool = false) {
    if size == 2 { byte(0x66) }
    rex(size == 8, reg, 0, 4, force: size == 1 || byteRegister)
    opcode(op)
    if displacement >= -128 && displacement < 128 {
      byte(0x44 | (reg & 7) << 3)
      byte(0x24)
      byte(displacement)
    } else {
      byte(0x84 | (reg & 7) << 3)
      byte(0x24)
      int32(displacement)
    }
  }

  /// ModRM, SIB and displacement of [base + index * scale + displacement].
  func modRM(_ reg: Int, _ base: Int, _ index: Int?, _ displacement: Int, scale: Int = 0) {
    let small = displacement >= -128 && displacement < 128
    let mod = displacement == 0 && base & 7 != 5 ? 0 : small ? 0x40 : 0x80
    if index != nil || base & 7 == 4 {
      byte(mod | (reg & 7) << 3 | 4)
      byte(scale << 6 | ((index ?? 4) & 7) << 3 | base & 7)
    } else {
      byte(mod | (reg & 7) << 3 | base & 7)
    }
    if mod == 0x40 { byte(displacement) }
    if mod == 0x80 { int32(displacement) }
  }

  /// op reg, [base + index * scale + displacement].
  func rm(
    _ op: Int, _ reg: Int, base: Int, index: Int? = nil, scale: Int = 0, displacement: Int = 0, size: Int, prefix: Int = 0,
    byteRegister: Bool = false
  ) {
    if prefix != 0 { byte(prefix) }
    if size == 2 { byte(0x66) }
    rex(size == 8, reg, index ?? 0, base, force: size == 1 || byteRegister)
    opcode(op)
    modRM(reg, base, index, displacement, scale: scale)
  }

  /// op reg, [index * scale + displacement32] without a base.
  func rmNoBase(_ op: Int, _ reg: Int, index: Int, scale: Int, displacement: Int, size: Int) {
    rex(size == 8, reg, index, 0)
    opcode(op)
    byte((reg & 7) << 3 | 4)
    byte(scale << 6 | (index & 7) << 3 | 5)
    int32(displacement)
  }

  /// Moves a state word into a register and back: 64 bits.
  func load(_ reg: Int, _ displacement: Int) { rs(0x8B, reg, displacement, size: 8) }
  func store(_ reg: Int, _ displacement: Int) { rs(0x89, reg, displacement, size: 8) }

  /// mov qword [rsp + displacement], sign-extended 32-bit immediate.
  func storeImmediate(_ value: Int, _ displacement: Int) {
    rs(0xC7, 0, displacement, size: 8)
    int32(value)
  }
  /// mov dword [rsp + displacement], immediate.
  func storeImmediate32(_ value: Int, _ displacement: Int) {
    rs(0xC7, 0, displacement, size: 4)
    int32(value)
  }
  /// mov reg, 64-bit immediate.
  func immediate(_ reg: Int, _ value: UInt64) {
    if value <= 0xFFFF_FFFF {
      rex(false, 0, 0, reg)
      byte(0xB8 | reg & 7)
      int32(Int(truncatingIfNeeded: value))
    } else if Int64(bitPattern: value) >= Int64(Int32.min) && Int64(bitPattern: value) < 0 {
      rex(true, 0, 0, reg)
      byte(0xC7)
      byte(0xC0 | reg & 7)
      int32(Int(truncatingIfNeeded: value))
    } else {
      rex(true, 0, 0, reg)
      byte(0xB8 | reg & 7)
      int64(value)
    }
  }

  /// mov reg, 64-bit immediate, in the ten-byte form whatever the value: it may be patched.
  func wideImmediate(_ reg: Int, _ value: UInt64) {
    rex(true, 0, 0, reg)
    byte(0xB8 | reg & 7)
    int64(value)
  }

  /// Group-1 operation on a register with a 32-bit immediate (8 where it fits): 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp.
  func groupImmediate(_ operation: Int, _ reg: Int, _ value: Int, size: Int) {
    if size == 2 { byte(0x66) }
    rex(size == 8, 0, 0, reg, force: size == 1)
    if size == 1 {
      byte(0x80)
      byte(0xC0 | operation << 3 | reg & 7)
      byte(value)
    } else if value >= -128 && value < 128 {
      byte(0x83)
      byte(0xC0 | operation << 3 | reg & 7)
      byte(value)
    } else {
      byte(0x81)
      byte(0xC0 | operation << 3 | reg & 7)
      if size == 2 {
        byte(value)
        byte(value >> 8)
      } else {
        int32(value)
      }
    }
  }

  /// Shift or rotate by an immediate: 0 rol 1 ror 2 rcl 3 rcr 4 shl 5 shr 7 sar.
  func shiftImmediate(_ operation: Int, _ reg: Int, _ count: Int, size: Int) {
    if size == 2 { byte(0x66) }
    rex(size == 8, 0, 0, reg, force: size == 1)
    byte(size == 1 ? 0xC0 : 0xC1)
    byte(0xC0 | operation << 3 | reg & 7)
    byte(count)
  }

  /// jcc rel32; returns the slot to patch.
  func jump(condition: Int) -> Int {
    byte(0x0F)
    byte(0x80 | condition)
    int32(0)
    return position - 4
  }
  /// jmp rel32; returns the slot to patch.
  func jump() -> Int {
    byte(0xE9)
    int32(0)
    return position - 4
  }
  func jump(to target: Int) { patch(jump(), to: target) }
  func call(to target: Int) {
    byte(0xE8)
    int32(target - position - 4)
  }

  /// Group-1 operation on [base] with an immediate: 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp.
  func groupImmediate(_ operation: Int, base: Int, _ value: Int, size: Int) {
    let small = value >= -128 && value < 128
    rm(size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, base: base, size: size)
    if size == 1 || small {
      byte(value)
    } else if size == 2 {
      byte(value)
      byte(value >> 8)
    } else {
      int32(value)
    }
  }

  /// A VEX instruction on general registers. `map` 2: 0F 38, 3: 0F 3A; `prefix` 0 none, 1 66, 2 F3, 3 F2.
  func vex(map: Int, prefix: Int, _ op: Int, reg: Int, second: Int, rm: Int, size: Int) {
    byte(0xC4)
    byte((~reg & 8) << 4 | 0x40 | (~rm & 8) << 2 | map)
    byte((size == 8 ? 0x80 : 0) | (~second & 15) << 3 | prefix)
    byte(op)
    byte(0xC0 | (reg & 7) << 3 | rm & 7)
  }

  /// rorx reg, rm, count: no flags.
  func rotate(_ reg: Int, _ rm: Int, right count: Int) {
    vex(map: 3, prefix: 3, 0xF0, reg: reg, second: 0, rm: rm, size: 8)
    byte(count)
  }

  /// lea reg, [base + index]
  func add(_ reg: Int, _ base: Int, _ index: Int) { rm(0x8D, reg, base: base, index: index, size: 8) }
}
