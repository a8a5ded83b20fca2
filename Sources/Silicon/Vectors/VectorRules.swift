import X86

/// What each reason changes of what is run and of what is wanted.
struct VectorRules {
  let vector: ProcessorVector
  let shape: VectorShape
  let machine: VectorMachine

  private static let (ax, cx, cs, ss, es, sp, si, di, ip, flags) = (0, 2, 4, 5, 7, 8, 10, 11, 12, 13)

  /// The plans that a reason makes of one; none if it does not apply.
  func plans(_ reason: VectorReason, _ plan: VectorPlan) -> [VectorPlan] {
    var changed = plan
    if reason == .wraps {
      changed.wraps = true
      return [changed]
    }
    if reason == .aamZero {
      guard shape.opcode == 0xD4, shape.second == 0, vector.after[Self.sp] == vector.before[Self.sp] &- 6 else { return [] }
      changed.ignoredFlags |= 0x8D5
      return [changed]
    }
    if reason == .stringMoved && machine.processor == .i80286 { return stringPlans(plan) }
    return (machine.processor == .i8086 ? change8086(reason, &changed) : change80286(reason, &changed)) ? [changed] : []
  }

  // MARK: 8086

  private func change8086(_ reason: VectorReason, _ plan: inout VectorPlan) -> Bool {
    let opcode = shape.opcode
    switch reason {
    case .alias:
      let same: [UInt8: UInt8] = [0xC0: 0xC2, 0xC1: 0xC3, 0xC8: 0xCA, 0xC9: 0xCB]
      guard let other = opcode & 0xF0 == 0x60 ? opcode | 0x10 : same[opcode] else { return false }
      plan.code = shape.with(opcode: other)
    case .regField:
      switch opcode {
      case 0x8C where shape.reg >= 4, 0x8E where shape.reg >= 4 && shape.reg != 5: plan.code = shape.with(reg: shape.reg & 3)
      case 0x8F where shape.reg != 0, 0xC6 where shape.reg != 0, 0xC7 where shape.reg != 0: plan.code = shape.with(reg: 0)
      case 0xFF where shape.reg == 7: plan.code = shape.with(reg: 6)
      default: return false
      }
    case .codeSegment:
      // Run as a load of ES.
      guard opcode == 0x8E, shape.reg & 3 == 1 else { return false }
      plan.code = shape.with(reg: 0)
      plan.after[Self.es] = plan.after[Self.cs]
      plan.after[Self.cs] = plan.before[Self.cs]
    case .setAllOnes:
      guard (0xD0...0xD3).contains(opcode), shape.reg == 6, opcode < 0xD2 || vector.before[Self.cx] & 0xFF != 0 else { return false }
      // Run as OR with all ones.
      let word = opcode & 1 != 0
      run(shape.replacing(shape.at, word ? 0x81 : 0x80), reg: 1, behind: word ? [0xFF, 0xFF] : [0xFF], &plan)
      plan.ignoredFlags = 0x10
    case .escape: return isIgnored(&plan)
    case .pushSP:
      guard opcode == 0x54 || (opcode == 0xFF && shape.reg >= 6 && shape.second & 0xC7 == 0xC4) else { return false }
      guard recordedStack(plan.after[Self.sp]) == plan.after[Self.sp] else { return false }
      plan.want(plan.before[Self.sp], atStack: plan.after[Self.sp], machine)
    case .upperFlags:
      guard opcode == 0x9C || plan.after[Self.sp] == plan.before[Self.sp] &- 6 else { return false }
      let at = opcode == 0x9C ? plan.after[Self.sp] : plan.after[Self.sp] &+ 4
      guard let pushed = recordedStack(at), pushed & 0xF000 == 0xF000 else { return false }
      plan.ignored.append(ProcessorVector.Cell(address: machine.linear(plan.before[Self.ss], at &+ 1), value: 0xF0))
    case .shiftCount: return shift(&plan)
    case .decimal: return decimal(&plan)
    case .ascii: return ascii(&plan)
    case .divideReturn:
      guard shape.divides, plan.after[Self.sp] == plan.before[Self.sp] &- 6 else { return false }
      guard recordedStack(plan.after[Self.sp]) == plan.before[Self.ip] &+ shape.length else { return false }
      plan.want(plan.before[Self.ip], atStack: plan.after[Self.sp], machine)
    case .idivMinimum:
      guard shape.isSignedDivision, let quotient = quotient(), abs(quotient) == (shape.opcode & 1 != 0 ? 0x8000 : 0x80) else {
        return false
      }
      // Run as AAM 0, which raises #DE.
      plan.code = [0xD4, 0]
    case .idivRepeated:
      guard shape.isSignedDivision, shape.isRepeated else { return false }
      let result = plan.after[Self.ax]
      plan.after[Self.ax] = opcode & 1 != 0 ? 0 &- result : result & 0xFF00 | (0 &- result) & 0xFF
    default: return false
    }
    return true
  }

  /// A count has all its bits: as with the least count that does the same.
  private func shift(_ plan: inout VectorPlan) -> Bool {
    let count = vector.before[Self.cx] & 0xFF
    guard shape.opcode & 0xFE == 0xD2, count > 31, shape.reg != 6 else { return false }
    let word = shape.opcode & 1 != 0
    let size: UInt16 = word ? 16 : 8
    var least: UInt16 = 31
    if shape.reg < 2 { least = (count &- 1) % size &+ 1 }
    if shape.reg == 2 || shape.reg == 3 { least = count % (size &+ 1) == 0 ? size &+ 1 : count % (size &+ 1) }
    if shape.isRegisterForm && shape.second & 7 == 1 {
      // CL or CX is shifted itself.
      run(shape.replacing(shape.at, word ? 0xC1 : 0xC0), reg: nil, behind: [UInt8(truncatingIfNeeded: least)], &plan)
    } else {
      plan.before[Self.cx] = plan.before[Self.cx] & 0xFF00 | least
      plan.after[Self.cx] = plan.after[Self.cx] & 0xFF00 | least
    }
    return true
  }

  /// The 8086 compares AL with 9F, not 99, where AF was set.
  private func decimal(_ plan: inout VectorPlan) -> Bool {
    guard shape.opcode == 0x27 || shape.opcode == 0x2F else { return false }
    let before = vector.before
    let (carry, half) = (before[Self.flags] & 1 != 0, before[Self.flags] & 0x10 != 0)
    let old = before[Self.ax] & 0xFF
    func result(limit: UInt16) -> (al: UInt16, flags: UInt16) {
      var change: UInt16 = 0
      var flags: UInt16 = 0
      if old & 15 > 9 || half {
        change = 6
        flags |= 0x10
        // A borrow counts, and since the 386 so it is written.
        if shape.opcode == 0x2F && old < 6 && limit == 0x99 { flags |= 1 }
      }
      if old > limit || carry {
        change |= 0x60
        flags |= 1
      }
      let al = (shape.opcode == 0x27 ? old &+ change : old &- change) & 0xFF
      if al == 0 { flags |= 0x40 }
      if al & 0x80 != 0 { flags |= 0x80 }
      if al.nonzeroBitCount & 1 == 0 { flags |= 4 }
      return (al, flags)
    }
    let then = result(limit: half ? 0x9F : 0x99)
    guard plan.after[Self.ax] == before[Self.ax] & 0xFF00 | then.al, (plan.after[Self.flags] ^ then.flags) & 0xD5 == 0 else { return false }
    let now = result(limit: 0x99)
    plan.after[Self.ax] = before[Self.ax] & 0xFF00 | now.al
    plan.after[Self.flags] = plan.after[Self.flags] & ~0xD5 | now.flags
    return true
  }

  /// The 8086 adjusts AL and AH each by itself.
  private func ascii(_ plan: inout VectorPlan) -> Bool {
    guard shape.opcode == 0x37 || shape.opcode == 0x3F else { return false }
    let old = vector.before[Self.ax]
    guard old & 15 > 9 || vector.before[Self.flags] & 0x10 != 0 else { return false }
    let adds = shape.opcode == 0x37
    let then = (adds ? old &+ 0x100 : old &- 0x100) & 0xFF00 | (adds ? old &+ 6 : old &- 6) & 0xF
    guard plan.after[Self.ax] == then else { return false }
    plan.after[Self.ax] = (adds ? old &+ 0x106 : old &- 0x106) & 0xFF0F
    return true
  }

  // MARK: 80286

  private func change80286(_ reason: VectorReason, _ plan: inout VectorPlan) -> Bool {
    switch reason {
    case .escape: return isIgnored(&plan)
    case .lock:
      guard shape.has(0xF0) else { return false }
      let neutral = shape.bytes.prefix(shape.at).last { $0 & 0xE7 == 0x26 } ?? defaultSegment
      plan.code = shape.bytes.prefix(shape.at).map { $0 == 0xF0 ? neutral : $0 } + shape.bytes.dropFirst(shape.at)
    case .longInstruction:
      guard vector.exception == 13, shape.length > 10 || wholeLength > 10 else { return false }
      // Run as what is too long for later ones too.
      plan.code = [UInt8](repeating: 0x26, count: 16)
    case .laterSegments:
      guard shape.opcode == 0x8C || shape.opcode == 0x8E, shape.reg & 6 == 4, vector.exception == 6 else { return false }
      plan.code = [0x0F, 0x0B]
    case .loadFarRegister:
      guard shape.opcode == 0xC5, shape.isRegisterForm, vector.exception == 6 else { return false }
      plan.code = [0x0F, 0x0B]
    case .stackFault:
      guard vector.exception == 13 else { return false }
      plan.stackFaultsAreGeneral = true
    case .popMoved:
      guard shape.opcode == 0x8F, vector.exception == 13 else { return false }
      plan.before[Self.sp] &+= 2
    case .idivBeyond:
      let word = shape.opcode & 1 != 0
      guard shape.isSignedDivision, vector.exception == nil, let quotient = quotient(), quotient < (word ? -0x8000 : -0x80),
        plan.after[Self.ax] & (word ? 0xFFFF : 0xFF) == (word ? 0x8000 : 0x80)
      else { return false }
      isNothing(&plan)
      plan.before[Self.ax] = plan.after[Self.ax]
      plan.before[3] = plan.after[3]
    case .halfVector:
      // Only the even bytes were recorded; where they led to is known.
      guard vector.exception == 13, recorded(0x35, after: false) == nil else { return false }
      for (index, value) in [plan.after[Self.ip] &- 1, plan.after[Self.cs]].enumerated() {
        let at = UInt32(0x34 + index * 2)
        plan.memory.append(ProcessorVector.Cell(address: at, value: UInt8(truncatingIfNeeded: value)))
        plan.memory.append(ProcessorVector.Cell(address: at + 1, value: UInt8(truncatingIfNeeded: value >> 8)))
        plan.ignored.append(ProcessorVector.Cell(address: at, value: 0xFF))
        plan.ignored.append(ProcessorVector.Cell(address: at + 1, value: 0xFF))
      }
    case .interruptFrame:
      guard vector.exception != nil || (0xCC...0xCE).contains(shape.opcode) else { return false }
      let at = plan.after[Self.sp] &+ 2
      guard recordedStack(at) == plan.before[Self.ss], plan.before[Self.ss] != plan.before[Self.cs] else { return false }
      plan.want(plan.before[Self.cs], atStack: at, machine)
    default: return false
    }
    return true
  }

  /// The registers may each have moved by an element before exception 13.
  private func stringPlans(_ plan: VectorPlan) -> [VectorPlan] {
    guard shape.isString, vector.exception == 13 else { return [] }
    let step: UInt16 = (plan.before[Self.flags] & 0x400 != 0 ? 0xFFFF : 1) &* (shape.opcode & 1 != 0 ? 2 : 1)
    // CX by two where the first element already is the one that faults.
    return (1..<12).map { which in
      var tried = plan
      if which & 1 != 0 { tried.after[Self.si] &-= step }
      if which & 2 != 0 { tried.after[Self.di] &-= step }
      tried.after[Self.cx] &+= UInt16(which >> 2)
      return tried
    }
  }

  // MARK: Parts

  /// As long as it would be if the reg field were no matter: of what is invalid not every byte is given.
  private var wholeLength: Int {
    guard shape.opcode & 0xFE == 0xC6 else { return 0 }
    let bytes = shape.with(reg: 0) + [UInt8](repeating: 0, count: 15)
    return (try? Decoder.decode(bytes, mode: .protected16)).map { Int($0.length) } ?? 0
  }

  /// The prefix of the segment that the instruction's operand is in anyway.
  private var defaultSegment: UInt8 {
    let (mode, rm) = (shape.second >> 6, shape.second & 7)
    let hasModRM =
      shape.opcode < 0x40 && shape.opcode & 7 < 4 || [0x62, 0x69, 0x6B].contains(shape.opcode) || (0x80...0x8F).contains(shape.opcode)
      || shape.opcode >= 0xC0
    return hasModRM && mode < 3 && (rm == 2 || rm == 3 || (rm == 6 && mode != 0)) ? 0x36 : 0x3E
  }

  /// Another instruction with the same ModRM operand and something behind it.
  private func run(_ bytes: [UInt8], reg: UInt8?, behind: [UInt8], _ plan: inout VectorPlan) {
    var code = bytes + behind
    if let reg, shape.at + 1 < code.count { code[shape.at + 1] = code[shape.at + 1] & 0xC7 | reg << 3 }
    plan.code = code
    plan.after[Self.ip] &+= UInt16(truncatingIfNeeded: behind.count)
  }

  /// A NOP is run, wanted to end where the instruction does.
  private func isNothing(_ plan: inout VectorPlan) {
    plan.code = [0x90]
    plan.after[Self.ip] &-= shape.length &- 1
  }

  /// Without a coprocessor its instructions do nothing.
  private func isIgnored(_ plan: inout VectorPlan) -> Bool {
    guard shape.opcode & 0xF8 == 0xD8 else { return false }
    isNothing(&plan)
    return true
  }

  /// A word of the stack as it was recorded after the instruction.
  private func recordedStack(_ offset: UInt16) -> UInt16? {
    guard let low = recorded(plan(offset), after: true), let high = recorded(plan(offset &+ 1), after: true) else { return nil }
    return UInt16(low) | UInt16(high) << 8
  }
  private func plan(_ offset: UInt16) -> UInt32 { machine.linear(vector.before[Self.ss], offset) }

  private func recorded(_ address: UInt32, after: Bool) -> UInt8? {
    (after ? vector.changed.last { $0.address == address } : nil)?.value ?? vector.memory.last { $0.address == address }?.value
  }

  /// The true quotient of a signed division; nil by zero.
  private func quotient() -> Int? {
    let word = shape.opcode & 1 != 0
    guard let raw = operand(word: word) else { return nil }
    let (ax, dx) = (vector.before[Self.ax], vector.before[3])
    let divisor = word ? Int(Int16(bitPattern: raw)) : Int(Int8(truncatingIfNeeded: raw))
    let dividend = word ? Int(Int32(bitPattern: UInt32(dx) << 16 | UInt32(ax))) : Int(Int16(bitPattern: ax))
    return divisor == 0 ? nil : dividend / divisor
  }

  /// The value of the ModRM operand.
  private func operand(word: Bool) -> UInt16? {
    let r = vector.before
    // AX CX DX BX SP BP SI DI in the order of `names`.
    let order = [0, 2, 3, 1, 8, 9, 10, 11]
    let rm = Int(shape.second & 7)
    if shape.isRegisterForm {
      if word { return r[order[rm]] }
      return rm < 4 ? r[order[rm]] & 0xFF : r[order[rm - 4]] >> 8
    }
    let (bx, bp, si, di) = (r[1], r[9], r[10], r[11])
    let mode = shape.second >> 6
    func byte(_ ahead: Int) -> UInt16 { shape.at + ahead < shape.bytes.count ? UInt16(shape.bytes[shape.at + ahead]) : 0 }
    let wide = byte(2) | byte(3) << 8
    var offset = [bx &+ si, bx &+ di, bp &+ si, bp &+ di, si, di, mode == 0 ? wide : bp, bx][rm]
    if mode == 1 { offset &+= UInt16(bitPattern: Int16(Int8(truncatingIfNeeded: byte(2)))) }
    if mode == 2 { offset &+= wide }
    let prefix = shape.bytes.prefix(shape.at).last { $0 & 0xE7 == 0x26 } ?? defaultSegment
    let segment = r[[0x26: 7, 0x2E: 4, 0x36: 5, 0x3E: 6][prefix] ?? 6]
    guard let low = recorded(machine.linear(segment, offset), after: false) else { return nil }
    if !word { return UInt16(low) }
    guard let high = recorded(machine.linear(segment, offset &+ 1), after: false) else { return nil }
    return UInt16(low) | UInt16(high) << 8
  }
}
