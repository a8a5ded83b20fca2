/// A form as the decoder reads it.
struct DecoderRow {
  var mnemonic: UInt16 = 0
  var flags: FormFlags = []
  var operandCount: UInt8 = 0
  var operands: (OperandPattern, OperandPattern, OperandPattern, OperandPattern, OperandPattern) = (
    OperandPattern(), OperandPattern(), OperandPattern(), OperandPattern(), OperandPattern()
  )

  /// Operand by number, 0...4.
  @inline(__always) func operand(_ number: Int) -> OperandPattern {
    switch number {
    case 0: operands.0
    case 1: operands.1
    case 2: operands.2
    case 3: operands.3
    default: operands.4
    }
  }
}

/// A form as the encoder reads it.
struct EncoderRow {
  var form: UInt16 = 0
  var flags: FormFlags = []
  var accept: UInt64 = 0
  var opcode = ParsedRow.Opcode()
  var operands: UnsafePointer<DecoderRow>
}

/// One form to try for an opcode.
struct DecoderCandidate {
  var accept: UInt64
  var form: UInt16
}

/// The table in the order in which bytes come: opcode → (ModRM.mod, ModRM.reg) → the few forms to try.
///
/// The memory is allocated once, filled here and never freed or changed: reading it from any thread is safe. Every index
/// comes from this initializer or is a byte, so it is in range.
struct DecoderLayout: @unchecked Sendable {
  /// Seven opcode spaces of 256: one-byte, 0F, 0F38, 0F3A, VEX 0F, VEX 0F38, VEX 0F3A. Each entry: bits 0…15 first bucket,
  /// 16…18 shift of the bucket index (3 bits of reg and one of mod 3), bit 24 ModRM follows, bit 25 there are forms.
  let opcodes: UnsafePointer<UInt32>
  /// First candidate of each bucket; one more entry at the end.
  let buckets: UnsafePointer<UInt16>
  let candidates: UnsafePointer<DecoderCandidate>
  let rows: UnsafePointer<DecoderRow>
  /// What the encoder reads, by form.
  let encoderRows: UnsafePointer<EncoderRow>
  /// Forms of each mnemonic, one after another, and where each mnemonic's begin (one more entry at the end).
  let formsByMnemonic: UnsafePointer<UInt16>
  let firstForms: UnsafePointer<UInt16>
  let mnemonicCount: Int

  static let hasModRM: UInt32 = 1 << 24
  static let exists: UInt32 = 1 << 25

  init(_ forms: [InstructionForm], _ formsByMnemonic: [[UInt16]]) {
    var bySlot: [[Int]] = Array(repeating: [], count: 7 * 256)
    for (id, form) in forms.enumerated().dropFirst() {
      let space = form.opcode.map + (form.opcode.isVEX ? 3 : 0)
      let span = form.opcode.plusRegister ? 8 : 1
      for i in 0..<span { bySlot[space << 8 | (Int(form.opcode.byte) + i) & 0xFF].append(id) }
    }
    var opcodes = [UInt32](repeating: 0, count: bySlot.count)
    var buckets: [UInt16] = []
    var candidates: [DecoderCandidate] = []
    for slot in bySlot.indices where !bySlot[slot].isEmpty {
      let ids = bySlot[slot]
      let modRM = ids.contains { Self.needsModRM(forms[$0]) }
      let shift = modRM ? Self.shift(ids.map { forms[$0] }) : 4
      opcodes[slot] = UInt32(buckets.count) | UInt32(shift) << 16 | (modRM ? Self.hasModRM : 0) | Self.exists
      for bucket in 0..<(16 >> shift) {
        buckets.append(UInt16(candidates.count))
        for id in ids {
          let index = bucket << shift
          if let accept = Self.accept(forms[id], isRegister: shift == 4 ? nil : index & 8 != 0, reg: shift == 0 ? UInt8(index & 7) : nil) {
            candidates.append(DecoderCandidate(accept: accept, form: UInt16(id)))
          }
        }
      }
    }
    buckets.append(UInt16(candidates.count))
    self.opcodes = Self.keep(opcodes)
    self.buckets = Self.keep(buckets)
    self.candidates = Self.keep(candidates)
    let rows = Self.keep(forms.map(Self.row))
    self.rows = rows
    encoderRows = Self.keep(
      forms.map { form in
        EncoderRow(form: form.id, flags: form.flags, accept: form.accept, opcode: form.opcode, operands: rows + Int(form.id))
      })
    self.formsByMnemonic = Self.keep(formsByMnemonic.flatMap { $0 })
    var first: UInt16 = 0
    var firstForms = [first]
    for list in formsByMnemonic {
      first += UInt16(list.count)
      firstForms.append(first)
    }
    self.firstForms = Self.keep(firstForms)
    mnemonicCount = formsByMnemonic.count
  }

  private static func keep<T>(_ array: [T]) -> UnsafePointer<T> {
    let memory = UnsafeMutablePointer<T>.allocate(capacity: max(array.count, 1))
    for (i, value) in array.enumerated() { (memory + i).initialize(to: value) }
    return UnsafePointer(memory)
  }

  private static func needsModRM(_ form: InstructionForm) -> Bool {
    form.opcode.reg != nil || form.flags.contains(.registerOnly) || form.operands.contains { $0.rm != nil || $0.usesModRMRegisterField }
  }

  /// How far the index (mod 3, reg) can be shifted without losing what the forms depend on.
  private static func shift(_ forms: [InstructionForm]) -> Int {
    if forms.contains(where: { $0.opcode.reg != nil }) { return 0 }
    let byMod = forms.contains { form in
      if form.flags.contains(.lockable) || form.opcode.registerOnly { return true }
      guard let rm = form.operands.compactMap(\.rm).first, !form.flags.contains(.registerOnly) else { return false }
      return !rm.register || !rm.memory
    }
    return byMod ? 3 : 4
  }

  /// What the form accepts in a bucket, or nil if it is not in it.
  private static func accept(_ form: InstructionForm, isRegister: Bool?, reg: UInt8?) -> UInt64? {
    var accept = form.accept
    if let wanted = form.opcode.reg, let reg, wanted != reg { return nil }
    let rm = form.operands.compactMap(\.rm).first
    if let isRegister, !form.flags.contains(.registerOnly) {
      if form.opcode.registerOnly && !isRegister { return nil }
      if let rm, isRegister ? !rm.register : !rm.memory { return nil }
    }
    let lockable = form.flags.contains(.lockable) && isRegister == false
    if !lockable { accept &= ~MatchKey.locked }
    return accept
  }

  private static func row(_ form: InstructionForm) -> DecoderRow {
    var row = DecoderRow()
    row.mnemonic = form.mnemonic.rawValue
    row.flags = form.flags
    row.operandCount = UInt8(form.operands.count)
    func operand(_ i: Int) -> OperandPattern { i < form.operands.count ? form.operands[i] : OperandPattern() }
    row.operands = (operand(0), operand(1), operand(2), operand(3), operand(4))
    return row
  }
}
