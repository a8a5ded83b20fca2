/// A decoded instruction: the contract between the decoder and everything that executes, lists or translates code.
///
/// Operands are in Intel order (destination first), implicit operands left out except where the assembly language shows
/// them (`shl eax, cl`; `in al, dx`).
public struct Instruction: Sendable, Equatable {
  /// What the instruction is, by its Intel name in lower case ("add", "vaddps", "jnz", "movsb" …). Conditional forms are
  /// named by the condition's first Intel spelling: o no b ae z nz be a s ns p np l ge le g.
  public var mnemonic: Mnemonic
  /// Row of the instruction table: one encoding form.
  public var form: UInt16
  /// Bytes, 1...15.
  public var length: UInt8
  /// Effective operand size in bytes: 2, 4 or 8 (for byte forms, see the operands' sizes).
  public var operandSize: UInt8
  /// Effective address size in bytes: 2, 4 or 8.
  public var addressSize: UInt8
  public var operandCount: UInt8
  public var operands: (Operand, Operand, Operand, Operand, Operand)
  public var prefixes: Prefixes
  /// Segment of the memory operand, with defaults applied: 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS. In 64-bit mode an ES, CS,
  /// SS or DS override is ignored, and the default stands (SS when the base is RSP or RBP, else DS).
  public var segment: UInt8
  /// Base and index register numbers of the memory operand, 0...15; -1 none; base -2 is RIP (the next instruction's).
  /// For VSIB forms `index` is a vector register.
  public var base: Int8
  public var index: Int8
  /// Shift count of the index: 0...3.
  public var scale: UInt8
  /// Vector length in bytes of a VEX form (16 or 32), else 0.
  public var vectorLength: UInt8
  /// REX.W or VEX.W.
  public var w: Bool
  /// Sign-extended displacement; for moffs operands the whole address.
  public var displacement: Int64
  /// First immediate, sign- or zero-extended as the instruction defines; for relative branches the displacement; for far
  /// pointers the offset.
  public var immediate: Int64
  /// Second immediate (ENTER's level, a far pointer's selector).
  public var immediate2: Int64

  public struct Prefixes: OptionSet, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let lock = Prefixes(rawValue: 1)
    /// F3 as REP/REPE (not where it is part of the opcode).
    public static let rep = Prefixes(rawValue: 2)
    /// F2 as REPNE (not where it is part of the opcode).
    public static let repne = Prefixes(rawValue: 4)
    public static let operandSize = Prefixes(rawValue: 8)
    public static let addressSize = Prefixes(rawValue: 16)
    public static let segment = Prefixes(rawValue: 32)
    public static let rex = Prefixes(rawValue: 64)
    public static let vex = Prefixes(rawValue: 128)
  }

  public struct Operand: Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
      case none
      /// General register `register` (0...15), `size` bytes; size 1 with numbers 4...7 and no REX is `generalHigh`.
      case general
      /// AH, CH, DH, BH as 0...3.
      case generalHigh
      case memory
      case immediate
      /// A relative branch target, in `immediate`.
      case relative
      /// A far pointer, `immediate2`:`immediate`.
      case far
      /// XMM or YMM by `size` (16 or 32; scalar forms say 4 or 8 for the element, `register` is still the vector).
      case vector
      case mmx
      case x87
      case segment
      case control
      case debug
    }
    public var kind: Kind
    public var register: UInt8
    /// Bytes read or written through this operand; 0 where it has none (LEA, INVLPG).
    public var size: UInt8
    public init(kind: Kind = .none, register: UInt8 = 0, size: UInt8 = 0) {
      self.kind = kind
      self.register = register
      self.size = size
    }
  }

  public static func == (a: Instruction, b: Instruction) -> Bool {
    a.mnemonic == b.mnemonic && a.form == b.form && a.length == b.length && a.operands == b.operands && a.immediate == b.immediate
      && a.displacement == b.displacement && a.base == b.base && a.index == b.index && a.prefixes == b.prefixes
  }
}

/// An instruction's name, interned: `Mnemonic("add")`.
public struct Mnemonic: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// How the bytes are to be read: CS.L and CS.D.
public enum CodeMode: UInt8, Sendable {
  case long64 = 0
  case protected32 = 1
  case protected16 = 2
}

public enum DecodeError: Error, Equatable {
  /// The bytes end before the instruction does.
  case truncated
  /// No such instruction (#UD), or over 15 bytes (#GP).
  case invalid
  case tooLong
}
