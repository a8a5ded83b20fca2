import CHost
import Random
import X86

/// One instruction with everything that it starts from. The state itself is in the host's record.
struct SiliconCase {
  var form: InstructionForm
  var bytes: [UInt8]
  var instruction: Instruction
  /// Linear address of the first byte.
  var start: UInt64
  /// Linear address of the memory operand, where it has one.
  var operand: UInt64?
  /// All instructions, where there are several: `form` and `instruction` are then the last one's.
  var sequence: [Instruction] = []
}

/// Makes cases: an encoding of a form, registers, flags and memory, so that most memory operands lie in the data pages and
/// some on their edges, in the page that may only be read, where nothing is, or at no address at all.
struct CaseGenerator {
  let before: UnsafeMutablePointer<psil_state>
  /// The data pages of both sides.
  let hostData: UnsafeMutableRawPointer
  let guestData: UnsafeMutableRawPointer
  static let data = UInt64(PSIL_DATA)
  static let dataEnd = UInt64(PSIL_DATA) + UInt64(PSIL_DATA_BYTES)
  static let writableEnd = UInt64(PSIL_DATA) + UInt64(PSIL_WRITABLE_BYTES)

  func gpr(_ number: Int, _ value: UInt64) {
    UnsafeMutableRawPointer(before).storeBytes(of: value, toByteOffset: (number & 15) * 8, as: UInt64.self)
  }
  func gpr(_ number: Int) -> UInt64 { UnsafeRawPointer(before).load(fromByteOffset: (number & 15) * 8, as: UInt64.self) }

  /// Writes bytes of both sides' data pages; what lies outside is left out.
  func poke(_ address: UInt64, _ value: UInt64, _ count: Int) {
    for i in 0..<count {
      let at = address &+ UInt64(i)
      guard at >= Self.data && at < Self.dataEnd else { continue }
      let byte = UInt8(truncatingIfNeeded: value >> UInt64(i * 8))
      hostData.storeBytes(of: byte, toByteOffset: Int(at - Self.data), as: UInt8.self)
      guestData.storeBytes(of: byte, toByteOffset: Int(at - Self.data), as: UInt8.self)
    }
  }

  func make(_ form: InstructionForm, _ random: inout SeededRandom) -> SiliconCase? {
    var found: (EncodedForm, Instruction)?
    for _ in 0..<40 where found == nil { found = form.randomEncoding(&random) }
    guard var (code, instruction) = found else { return nil }
    // A state's components are chosen in EDX:EAX.
    if form.mnemonic.name.hasPrefix("xsave") || form.mnemonic.name.hasPrefix("xrstor") {
      let used = [instruction.base, instruction.index]
      if used.contains(0) || used.contains(2) { return nil }
    }
    fillState(&random)
    let length = UInt64(code.bytes.count)
    // Room behind for the jump to the exit; sometimes across the two pages, seldom at the end of the second.
    var start = UInt64(PSIL_CODE) + 0x100 + random.below(0x1800)
    if random.oneIn(16) { start = UInt64(PSIL_CODE) + 0x1000 - random.below(length) }
    let name = form.mnemonic.name
    before.pointee.rip = start
    prepareRegisters(name, instruction, &random)
    var operand: UInt64?
    if instruction.hasMemoryOperand {
      operand = place(&code, &instruction, form, start &+ length, &random)
    }
    prepareOperands(name, form, instruction, operand, &random)
    if code.relativeSize != 0 { chooseTarget(&code, start, length, &random) }
    guard let decoded = try? Decoder.decode(code.bytes, mode: .long64), decoded.form == form.id else { return nil }
    return SiliconCase(form: form, bytes: code.bytes, instruction: decoded, start: start, operand: operand)
  }

  // MARK: - State

  func fillState(_ random: inout SeededRandom) {
    for i in 0..<16 { gpr(i, random.integer()) }
    gpr(4, Self.data + 0x800 + random.below(0x800) * (random.oneIn(8) ? 1 : 8) & 0xFFF)
    var flags = random.next() & 0x8D5 | 0x202
    if random.oneIn(5) { flags |= 0x400 }
    if random.oneIn(16) { flags |= 0x20_0000 }
    before.pointee.rflags = flags
    before.pointee.fs_base = random.oneIn(2) ? 0 : random.below(1 << 31)
    before.pointee.gs_base = random.oneIn(2) ? 0 : 0 &- random.below(1 << 31)
    fillX87(&random)
    fillVectors(&random)
  }

  private func fillX87(_ random: inout SeededRandom) {
    let image = UnsafeMutableRawPointer(before) + 256
    var control: UInt16 = 0x37F
    if random.oneIn(2) { control = 0x7F | UInt16(truncatingIfNeeded: random.below(4) << 8 | random.below(4) << 10) }
    if random.oneIn(8) { control &= ~UInt16(truncatingIfNeeded: random.below(64)) }
    if random.oneIn(16) { control |= 0x1000 }
    var status = UInt16(truncatingIfNeeded: random.next()) & 0x7F00
    if random.oneIn(4) { status |= UInt16(truncatingIfNeeded: random.below(128)) }
    // A pending exception keeps most instructions from doing anything: seldom.
    if !random.oneIn(24) { status &= ~(~control & 0x3F) }
    if status & ~control & 0x3F != 0 { status |= 0x8080 }
    image.storeBytes(of: control, as: UInt16.self)
    image.storeBytes(of: status, toByteOffset: 2, as: UInt16.self)
    let tags: UInt8 = random.oneIn(3) ? UInt8(truncatingIfNeeded: random.next()) : random.oneIn(8) ? 0 : 0xFF
    image.storeBytes(of: UInt16(tags), toByteOffset: 4, as: UInt16.self)
    image.storeBytes(of: 0, toByteOffset: 6, as: UInt16.self)
    image.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
    image.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
    for i in 0..<8 {
      var (significand, exponent) = random.extended()
      if random.oneIn(4) {
        // An MMX register.
        significand = random.element(random.below(2))
        exponent = 0xFFFF
      }
      image.storeBytes(of: significand, toByteOffset: 32 + i * 16, as: UInt64.self)
      image.storeBytes(of: UInt64(exponent), toByteOffset: 40 + i * 16, as: UInt64.self)
    }
  }

  private func fillVectors(_ random: inout SeededRandom) {
    let image = UnsafeMutableRawPointer(before) + 256
    var control: UInt32 = 0x1F80
    if random.oneIn(2) { control |= UInt32(truncatingIfNeeded: random.below(4) << 13) }
    if random.oneIn(4) { control |= UInt32(truncatingIfNeeded: random.below(64)) }
    if random.oneIn(6) { control |= random.oneIn(2) ? 0x40 : 0x8000 }
    if random.oneIn(6) { control &= ~UInt32(truncatingIfNeeded: random.below(64) << 7) }
    image.storeBytes(of: control, toByteOffset: 24, as: UInt32.self)
    image.storeBytes(of: 0xFFFF, toByteOffset: 28, as: UInt32.self)
    let kind = random.below(9)
    for i in 0..<32 {
      image.storeBytes(of: random.element(kind == 8 ? random.below(8) : kind), toByteOffset: 160 + i * 8, as: UInt64.self)
      image.storeBytes(of: random.element(kind == 8 ? random.below(8) : kind), toByteOffset: 576 + i * 8, as: UInt64.self)
    }
    image.storeBytes(of: 7, toByteOffset: 512, as: UInt64.self)
    for i in 1..<8 { image.storeBytes(of: 0, toByteOffset: 512 + i * 8, as: UInt64.self) }
  }

  // MARK: - Addresses

  /// Where a memory operand shall be.
  private func target(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(32) {
    case 0: return Self.dataEnd &- 40 &+ random.below(80)
    case 1: return Self.data &- 40 &+ random.below(80)
    case 2: return Self.writableEnd &- 40 &+ random.below(80)
    case 3: return Self.writableEnd &+ random.below(0x200) & ~15
    case 4: return Self.data &+ 0x1000 &- 40 &+ random.below(80)
    case 5: return random.oneIn(2) ? 0x1234_5678_9ABC_0000 &+ random.below(4096) : random.below(1 << 46)
    case 6: return (1 << 63 | 0x5555_5555_0000) &+ random.below(4096)
    case 7...18: return Self.data &+ 0x80 &+ random.below(0x3C) * 64
    default: return Self.data &+ 0x80 &+ random.below(0xF00)
    }
  }

  /// Gives base, index and displacement values that make the operand's address.
  private func place(
    _ code: inout EncodedForm, _ instruction: inout Instruction, _ form: InstructionForm, _ after: UInt64,
    _ random: inout SeededRandom
  ) -> UInt64? {
    let wanted = target(&random)
    let mask: UInt64 = instruction.addressSize == 4 ? 0xFFFF_FFFF : .max
    let segment = instruction.segment == 4 ? before.pointee.fs_base : instruction.segment == 5 ? before.pointee.gs_base : 0
    // What base, index and displacement have to add up to. LEA and its like have no segment, which does not matter.
    let offset = (wanted &- segment) & mask
    if code.displacementSize == 8
      || (code.displacementSize == 4 && instruction.base == -1 && (instruction.index == -1 || form.flags.contains(.vsib)))
    {
      code.setDisplacement(offset)
      instruction.displacement = code.displacementSize == 4 ? Int64(Int32(truncatingIfNeeded: offset)) : Int64(bitPattern: offset)
    }
    if instruction.base == -2 {
      code.setDisplacement(offset &- after)
      instruction.displacement = Int64(Int32(truncatingIfNeeded: offset &- after))
    }
    let displacement = UInt64(bitPattern: instruction.displacement)
    let base = Int(instruction.base)
    let index = Int(instruction.index)
    let isVSIB = form.flags.contains(.vsib)
    if isVSIB {
      if base >= 0 { gpr(base, (offset &- displacement) & mask | (mask == .max ? 0 : random.next() << 32)) }
      fillIndices(index, &random)
      return wanted
    }
    if index >= 0 && index == base {
      gpr(base, (offset &- displacement) / (1 + 1 << UInt64(instruction.scale)))
    } else if index >= 0 && base >= 0 {
      if index != 4 {
        if random.oneIn(4) { gpr(index, random.integer()) } else { gpr(index, random.below(64) &- 32) }
      }
      gpr(base, offset &- displacement &- gpr(index) &<< UInt64(instruction.scale))
    } else if index >= 0 {
      gpr(index, ((offset &- displacement) & mask) >> UInt64(instruction.scale))
    } else if base >= 0 {
      gpr(base, offset &- displacement)
    }
    if mask != .max && random.oneIn(2) {
      // The upper half of the registers is not part of a 32-bit address.
      if base >= 0 { gpr(base, gpr(base) & mask | random.next() << 32) }
      if index >= 0 { gpr(index, gpr(index) & mask | random.next() << 32) }
    }
    var sum = displacement
    if base == -2 { sum = sum &+ after }
    if base >= 0 { sum = sum &+ gpr(base) }
    if index >= 0 { sum = sum &+ gpr(index) &<< UInt64(instruction.scale) }
    return (sum & mask) &+ segment
  }

  /// A gather's indices: near, seldom far.
  private func fillIndices(_ register: Int, _ random: inout SeededRandom) {
    let image = UnsafeMutableRawPointer(before) + 256
    let wide = random.oneIn(2)
    let far = random.oneIn(24)
    for lane in 0..<4 {
      let room = image + (lane < 2 ? 160 : 576 - 16) + register * 16 + lane * 8
      if wide {
        room.storeBytes(of: random.below(far ? 4096 : 64) &- 16, as: UInt64.self)
      } else {
        let low = UInt32(truncatingIfNeeded: random.below(far ? 4096 : 64) &- 16)
        let high = UInt32(truncatingIfNeeded: random.below(64) &- 16)
        room.storeBytes(of: UInt64(high) << 32 | UInt64(low), as: UInt64.self)
      }
    }
  }

  /// A relative branch goes to a place where it can do no harm: code pages away from the instruction, or nowhere.
  private func chooseTarget(_ code: inout EncodedForm, _ start: UInt64, _ length: UInt64, _ random: inout SeededRandom) {
    let after = start &+ length
    if code.relativeSize == 1 {
      var distance = random.below(256) &- 128
      let at = after &+ distance
      if at &+ 32 > start && at < after &+ 32 { distance = random.oneIn(2) ? 100 : 0 &- 100 }
      code.setRelative(distance)
    } else {
      code.setRelative(self.landing(start, &random) &- after)
    }
  }

  /// A place to branch to.
  func landing(_ start: UInt64, _ random: inout SeededRandom) -> UInt64 {
    switch random.below(8) {
    case 0: return UInt64(PSIL_CODE) &+ UInt64(PSIL_CODE_BYTES) &+ random.below(0x1000)
    case 1: return Self.data &+ random.below(0x1000)
    default:
      let half: UInt64 = start < UInt64(PSIL_CODE) + 0x1000 ? 0x1800 : 0
      return UInt64(PSIL_CODE) &+ half &+ random.below(0x700)
    }
  }
}
