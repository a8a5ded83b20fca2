/// Properties of an encoding form.
public struct FormFlags: OptionSet, Sendable {
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// LOCK is allowed where the destination is memory.
  public static let lockable = FormFlags(rawValue: 1)
  /// In 64-bit mode the operand size is 8, or 2 with the operand-size prefix.
  public static let default64 = FormFlags(rawValue: 2)
  /// In 64-bit mode the operand size is 8.
  public static let force64 = FormFlags(rawValue: 4)
  /// 66, F2 or F3 is part of the opcode.
  public static let mandatoryPrefix = FormFlags(rawValue: 8)
  /// #GP above privilege level 0.
  public static let privileged = FormFlags(rawValue: 16)
  /// Subject to IOPL (and, for IN, OUT, INS and OUTS, to the I/O permission bitmap).
  public static let ioPrivileged = FormFlags(rawValue: 32)
  /// The implicit memory operand is ES:rDI whatever the prefixes.
  public static let destinationES = FormFlags(rawValue: 64)
  /// ModRM.mod is taken as 3.
  public static let registerOnly = FormFlags(rawValue: 128)
  /// Another form of the same instruction is the one assemblers use.
  public static let alternative = FormFlags(rawValue: 256)
  /// A vector of indices: ModRM needs a SIB byte, and the three vector registers must differ.
  public static let vsib = FormFlags(rawValue: 512)
  /// VEX.L is ignored.
  public static let ignoresL = FormFlags(rawValue: 1024)
  /// The opcode's low three bits are a register.
  public static let opcodeRegister = FormFlags(rawValue: 2048)
}

/// One encoding form: a row of the instruction table.
public struct InstructionForm: Sendable {
  public let id: UInt16
  public let mnemonic: Mnemonic
  public let operands: [OperandPattern]
  /// CPU feature that the form came with: "base", "sse2", "avx2" …
  public let feature: String
  public let flags: FormFlags
  let opcode: ParsedRow.Opcode
  let accept: UInt64

  /// Needs privilege level 0.
  public var isPrivileged: Bool { flags.contains(.privileged) }
  /// Can be decoded in a mode of this kind.
  public func isValid(in mode: CodeMode) -> Bool { accept & MatchKey.mode(mode) != 0 }
  /// Has a memory operand in ModRM, always or by choice.
  public var canAccessMemory: Bool { operands.contains { $0.rm?.memory ?? false } && !flags.contains(.registerOnly) }
}

/// The instruction table, laid out once for the decoder, the encoder and those that list forms.
public struct InstructionTable: Sendable {
  public static let shared = InstructionTable()

  /// All forms by number; number 0 is no form.
  public let forms: [InstructionForm]
  /// Names by mnemonic number, and back.
  let names: [String]
  let numbers: [String: UInt16]
  /// Forms of each mnemonic, in the table's order.
  let formsByMnemonic: [[UInt16]]
  /// Rows that could not be read (none, or a test fails).
  let malformed: [String]
  /// What the decoder reads.
  let layout: DecoderLayout

  private init() {
    var parser = RowParser()
    for text in [generalRows, systemRows, x87Rows, sseRows, sse2Rows, sse4Rows, avxRows, avx2Rows, fmaRows] { parser.parse(text) }
    var names = ["(bad)"]
    var numbers: [String: UInt16] = [:]
    var formsByMnemonic: [[UInt16]] = [[]]
    let none = InstructionForm(
      id: 0, mnemonic: Mnemonic(rawValue: 0), operands: [], feature: "", flags: [], opcode: .init(), accept: 0)
    var forms = [none]
    for row in parser.rows {
      let number: UInt16
      if let known = numbers[row.name] {
        number = known
      } else {
        number = UInt16(names.count)
        numbers[row.name] = number
        names.append(row.name)
        formsByMnemonic.append([])
      }
      var flags = row.flags
      if row.opcode.plusRegister { flags.insert(.opcodeRegister) }
      let id = UInt16(forms.count)
      forms.append(
        InstructionForm(
          id: id, mnemonic: Mnemonic(rawValue: number), operands: row.operands, feature: row.feature, flags: flags,
          opcode: row.opcode, accept: row.accept))
      formsByMnemonic[Int(number)].append(id)
    }
    self.forms = forms
    self.names = names
    self.numbers = numbers
    self.formsByMnemonic = formsByMnemonic
    self.malformed = parser.malformed
    self.layout = DecoderLayout(forms, formsByMnemonic)
  }

  /// The forms of a mnemonic.
  public func forms(of mnemonic: Mnemonic) -> [InstructionForm] {
    guard Int(mnemonic.rawValue) < formsByMnemonic.count else { return [] }
    return formsByMnemonic[Int(mnemonic.rawValue)].map { forms[Int($0)] }
  }
}
