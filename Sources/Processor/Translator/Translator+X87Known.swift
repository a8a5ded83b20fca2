import CHost
import X86

// What is cheaper than moving a NaN is not to: a block's second version (Translator+NaN.swift) gets versions for what the x87 unit is known to
// hold when it is entered (`pv_vcpu.x87_known`). In those, an instruction whose result is the NaN that its destination has already is
// nothing at all. They are made when they are asked for, and say at their end what is known then, so that the next block need not
// look either.

/// What each register of the x87 stack holds, as far as it is known while a block is translated; `bits` as `pv_vcpu.x87_known`.
struct X87Known: Equatable {
  enum Kind: UInt32 {
    /// Nothing is known.
    case other = 0
    /// The NaN that the unit makes itself.
    case indefinite = 1
    /// Normal, zero or infinite.
    case number = 2
    case empty = 3
  }

  private(set) var bits: UInt32

  init(bits: UInt32) { self.bits = bits }

  /// By ST number.
  subscript(_ register: Int) -> Kind {
    get { Kind(rawValue: bits >> UInt32(register * 2) & 3) ?? .other }
    set { bits = bits & ~(3 << UInt32(register * 2)) | newValue.rawValue << UInt32(register * 2) }
  }

  private func flag(_ mask: Int) -> Bool { bits & UInt32(mask) != 0 }
  private mutating func set(_ mask: Int, _ value: Bool) { bits = value ? bits | UInt32(mask) : bits & ~UInt32(mask) }

  /// The status word's invalid flag is set.
  var invalid: Bool {
    get { flag(Int(PV_X87_KNOWN_INVALID)) }
    set { set(Int(PV_X87_KNOWN_INVALID), newValue) }
  }
  /// C1 of the status word is clear.
  var clearC1: Bool {
    get { flag(Int(PV_X87_KNOWN_C1)) }
    set { set(Int(PV_X87_KNOWN_C1), newValue) }
  }

  mutating func forget() { bits = UInt32(PV_X87_KNOWN) }

  /// Where it would not fit the result is no NaN of ours for sure: nothing is known of it.
  mutating func push(_ kind: Kind) {
    let fits = self[7] == .empty
    for register in stride(from: 7, to: 0, by: -1) { self[register] = self[register - 1] }
    self[0] = fits ? kind : .other
  }

  mutating func pop() {
    for register in 0..<7 { self[register] = self[register + 1] }
    self[7] = .empty
  }

  private func isFull(_ register: Int) -> Bool { self[register] == .indefinite || self[register] == .number }
  /// A copy of an empty register is no copy.
  private func copied(_ register: Int) -> Kind { isFull(register) ? self[register] : .other }

  func areFull(_ a: Int, _ b: Int) -> Bool { isFull(a) && isFull(b) }
  /// One of two operands is the NaN, and the other that or a number: then the NaN is what comes out, and nothing is raised.
  private func givesIndefinite(_ a: Int, _ b: Int) -> Bool { areFull(a, b) && (self[a] == .indefinite || self[b] == .indefinite) }

  /// What is known after an instruction; after one that is not looked at here, nothing.
  mutating func step(_ e: X87Encoding, _ after: Translator.After?) {
    step(e)
    if after == .clearC1 { clearC1 = true }
  }

  private mutating func step(_ e: X87Encoding) {
    let (reg, i) = (e.modRM >> 3 & 7, e.modRM & 7)
    let wasClear = clearC1
    clearC1 = false
    if e.modRM < 0xC0 {
      switch (e.opcode, reg) {
      case (0xD8, 0...1), (0xD8, 4...7), (0xDC, 0...1), (0xDC, 4...7): self[0] = .other
      case (0xDA, 0...1), (0xDA, 4...7), (0xDE, 0...1), (0xDE, 4...7): if self[0] != .indefinite { self[0] = .other }
      case (0xD8, 2), (0xDC, 2), (0xDA, 2), (0xDE, 2): break
      case (0xD8, 3), (0xDC, 3), (0xDA, 3), (0xDE, 3): pop()
      case (0xD9, 0), (0xDD, 0), (0xDB, 5), (0xDF, 4): push(.other)
      case (0xDB, 0), (0xDF, 0), (0xDF, 5): push(.number)
      case (0xD9, 2), (0xDD, 2), (0xDB, 2), (0xDF, 2): break
      case (0xD9, 3), (0xDD, 3), (0xDB, 7), (0xDF, 6), (0xDB, 1), (0xDD, 1), (0xDF, 1), (0xDB, 3), (0xDF, 3), (0xDF, 7): pop()
      case (0xD9, 5), (0xD9, 7), (0xDD, 7): clearC1 = wasClear
      default: forget()
      }
      return
    }
    switch (e.opcode, reg) {
    case (0xD8, 0...1), (0xD8, 4...7): self[0] = givesIndefinite(0, i) ? .indefinite : .other
    case (0xDC, 0...1), (0xDC, 4...7): self[i] = givesIndefinite(0, i) ? .indefinite : .other
    case (0xDE, 0...1), (0xDE, 4...7):
      self[i] = givesIndefinite(0, i) ? .indefinite : .other
      pop()
    case (0xD8, 2), (0xDD, 4), (0xDB, 5), (0xDB, 6): break
    case (0xD8, 3), (0xDD, 5), (0xDF, 5), (0xDF, 6): pop()
    case (0xDA, 5), (0xDE, 3):
      guard e.modRM == 0xE9 || e.modRM == 0xD9 else { return forget() }
      pop()
      pop()
    case (0xD9, 0): push(copied(i))
    case (0xD9, 1):
      let (a, b) = (copied(0), copied(i))
      (self[0], self[i]) = (b, a)
    case (0xD9, 4):
      switch i {
      case 0, 1: if self[0] != .number { self[0] = .other }
      case 4, 5: break
      default: forget()
      }
    case (0xD9, 5) where i < 7: push(.number)
    case (0xD9, 7):
      switch i {
      // The root of a negative number is none.
      case 2: if self[0] != .indefinite { self[0] = .other }
      case 4: if !isFull(0) { self[0] = .other }
      default: forget()
      }
    case (0xDA, 0...3), (0xDB, 0...3): if self[0] != self[i] || !isFull(0) { self[0] = .other }
    case (0xDD, 0): self[i] = .empty
    case (0xDD, 2): self[i] = copied(0)
    case (0xDD, 3):
      self[i] = copied(0)
      pop()
    case (0xDB, 4):
      switch e.modRM {
      case 0xE2: invalid = false
      case 0xE3:
        forget()
        for register in 0..<8 { self[register] = .empty }
      default: forget()
      }
    case (0xDF, 4) where e.modRM == 0xE0: clearC1 = wasClear
    default: forget()
    }
  }
}

/// Code that asks for a version for what is known, by the slot of its jump.
struct X87Question {
  var block: UnsafeMutablePointer<pv_block>
  /// Where the version for everything begins.
  var general: Int
  /// Versions before it.
  var depth: Int
}

extension Translator {
  /// In `link_slot`: the rest is a question's slot.
  static let question: UInt32 = 1 << 30
  /// Versions of a block besides the one for everything.
  static let knownVersions = 6

  /// The beginning of the version for everything. From here on nothing is known of the unit, until a block says so at its end.
  func askWhatIsKnown() {
    code.rs(0x8B, Host.a, At.x87Known, size: 4)
    code.storeImmediate32(0, At.x87Known)
    code.rr(0x85, Host.a, Host.a, size: 4)
    let nothing = code.jump(condition: 4)
    let slot = code.jump()
    code.patch(nothing, to: code.position)
    questions[slot] = X87Question(block: block, general: code.position, depth: 0)
    ask(slot)
  }

  /// Leaves with a question, with nothing of the block done.
  private func ask(_ slot: Int) {
    later.append(
      .other { [unowned self] in
        code.patch(slot, to: code.position)
        code.rs(0x89, Host.a, At.x87Known, size: 4)
        code.groupImmediate(0, Host.budget, steps.count, size: 8)
        emitExit(to: pageOffset, slot: slot | Int(Self.question))
      })
  }

  /// Makes the version that code asked for, or has it ask no more.
  func answer(_ slot: UInt32, known bits: UInt32) {
    let slot = Int(slot)
    // Of a block that was dropped nobody asks again.
    guard let question = questions.removeValue(forKey: slot), question.block.pointee.valid != 0,
      let first = question.block.pointee.code
    else { return }
    guard question.depth < Self.knownVersions, !needsFlush, decode(question.block) else {
      code.patch(slot, to: question.general)
      return
    }
    markFlagUses(&steps)
    block = question.block
    entry = offset(of: first)
    code.position = (code.position + 15) & ~15
    let start = code.position
    code.forgetHeld()
    code.groupImmediate(7, Host.a, Int(bits), size: 4)
    let other = code.jump(condition: 5)
    isNaNPass = true
    hostValid = false
    known = X87Known(bits: bits)
    // It stays behind what `emitSteps` itself has for later.
    ask(other)
    let done = emitSteps()
    known = nil
    guard done else {
      code.position = start
      code.patch(slot, to: question.general)
      return
    }
    questions[other] = X87Question(block: question.block, general: question.general, depth: question.depth + 1)
    code.patch(slot, to: start)
    knownVersionsMade += 1
  }

  func storeKnown() {
    if let known { code.storeImmediate32(Int(known.bits), At.x87Known) }
  }

  private func clearC1() -> After {
    // fxch st(0)
    if known?.clearC1 == false { emitX87(0xD9, 0xC8) }
    return .clearC1
  }

  /// What an instruction that was emitted leaves besides its result.
  enum After { case clearC1, anyC1 }

  /// An instruction with registers; nil if what is known does not make it cheaper.
  func emitKnowing(_ e: X87Encoding) -> After? {
    guard let known, e.mindsNaNs else { return nil }
    let i = e.modRM & 7
    if e.opcode == 0xD9 {
      // FSQRT and FRNDINT.
      if known[0] == .indefinite { return clearC1() }
      guard known[0] == .number else { return nil }
      emitX87(e.opcode, e.modRM)
      return .anyC1
    }
    guard known.areFull(0, i) else { return nil }
    if known[0] == .number && known[i] == .number {
      emitX87(e.opcode, e.modRM)
      return .anyC1
    }
    // Comparisons that tell of a NaN, once they have told.
    let quietly: (Int, Int)? =
      switch (e.opcode, e.modRM >> 3 & 7) {
      case (0xDB, 6), (0xDF, 6): (e.opcode, e.modRM - 8)
      case (0xD8, 2...3): (0xDD, e.modRM + 16)
      case (0xDE, 3): (0xDA, 0xE9)
      default: nil
      }
    if let quietly {
      guard known.invalid else { return nil }
      emitX87(quietly.0, quietly.1)
      return .anyC1
    }
    switch e.opcode {
    case 0xDE: emitX87(0xDD, known[i] == .indefinite ? 0xD8 : 0xD8 | i)
    case 0xDC where known[i] != .indefinite: emitX87(0xDD, 0xD0 | i)
    case 0xD8 where known[0] != .indefinite:
      emitX87(0xDD, 0xD8)
      emitX87(0xD9, 0xC0 | i - 1)
    default: return clearC1()
    }
    return .clearC1
  }

  /// One with a memory operand, which was looked up.
  func emitKnowing(_ e: X87Encoding, _ memory: Instruction.Operand) -> After? {
    guard let known, e.mindsNaNs, e.opcode != 0xD8, e.opcode != 0xDC else { return nil }
    let reg = e.modRM >> 3 & 7
    if known[0] == .number {
      onOperand(e.opcode, reg, size: 4)
      return .anyC1
    }
    guard known[0] == .indefinite else { return nil }
    // With an integer.
    if e.opcode == 0xDA || e.opcode == 0xDE { return clearC1() }
    // FIST, FISTP, FISTTP: the integer indefinite.
    guard known.invalid else { return nil }
    let free = operand.index == Host.b ? Host.a : Host.b
    let size = Int(memory.size)
    code.immediate(free, 1 << UInt64(size * 8 - 1))
    onOperand(0x89, free, size: size)
    if reg == 2 { return clearC1() }
    emitX87(0xDD, 0xD8)
    return .clearC1
  }
}
