/// One operand of an encoding form: where it is encoded and how wide it is.
public struct OperandPattern: Sendable, Equatable {
  /// Where the operand comes from. The letters are the ones the table is written with, near to those of the Intel SDM's
  /// opcode maps (volume 2, A.2).
  public enum Code: UInt8, Sendable {
    case none
    /// `G`: general register in ModRM.reg.
    case regGeneral
    /// `E`: general register or memory in ModRM.rm.
    case rmGeneral
    /// `R`: general register in ModRM.rm, never memory.
    case rmGeneralOnly
    /// `M`: memory in ModRM.rm.
    case memory
    /// `X`: memory in ModRM.rm with a vector of indices (VSIB).
    case vectorMemory
    /// `Z`: general register in the opcode's low three bits.
    case opcodeGeneral
    /// `AL`, `AX`, `CL`, `DX`, `eAX`, `rAX`: the general register `register`.
    case fixedGeneral
    /// `ES` … `GS`: the segment register `register`.
    case fixedSegment
    /// `S`: segment register in ModRM.reg.
    case regSegment
    /// `C`, `D`: control and debug register in ModRM.reg.
    case regControl
    case regDebug
    /// `V`: vector register in ModRM.reg.
    case regVector
    /// `W`: vector register or memory in ModRM.rm.
    case rmVector
    /// `U`: vector register in ModRM.rm, never memory.
    case rmVectorOnly
    /// `H`: vector register in VEX.vvvv.
    case vexVector
    /// `L`: vector register in bits 7…4 of an immediate byte.
    case immediateVector
    /// `B`: general register in VEX.vvvv.
    case vexGeneral
    /// `XMM0`: the vector register 0.
    case fixedVector
    /// `P`: MMX register in ModRM.reg.
    case regMMX
    /// `Q`: MMX register or memory in ModRM.rm.
    case rmMMX
    /// `N`: MMX register in ModRM.rm, never memory.
    case rmMMXOnly
    /// `ST0`.
    case fixedX87
    /// `STi`: x87 register in ModRM.rm.
    case rmX87
    /// `I`: immediate. Sizes b, w and v are zero-extended, z is sign-extended; `Is` is a sign-extended byte.
    case immediate
    case signedByte
    /// `1`: the constant, not encoded.
    case one
    /// `J`: displacement of a relative branch.
    case relative
    /// `A`: far pointer in the instruction.
    case far
    /// `O`: memory at an absolute address in the instruction.
    case offset
  }

  /// How wide the operand is, in bytes.
  public enum Size: UInt8, Sendable {
    case none
    /// b 1, w 2, d 4, q 8, o 16, h 32, t 10.
    case b, w, d, q, o, h, t
    /// v: 2, 4 or 8 by operand size. z: 2 or 4. y: 4 or 8 by W. m: 8 in 64-bit mode, else 4.
    case v, z, y, m
    /// x: 16 or 32 by VEX.L; k, f, e: half, quarter, eighth of it.
    case x, k, f, e
    /// p: far pointer in memory; s: descriptor-table register; a: BOUND's pair; n: x87 environment; u: x87 state.
    case p, s, a, n, u
  }

  public var code: Code
  public var size: Size
  public var register: UInt8

  init(code: Code = .none, size: Size = .none, register: UInt8 = 0) {
    self.code = code
    self.size = size
    self.register = register
  }

  /// What decides the sizes of an instruction's operands.
  struct Widths {
    var operandSize: UInt8
    var mode: CodeMode
    var w: Bool
    var vectorLength: UInt8
  }

  /// Bytes of the operand in an instruction of the given widths.
  @inline(__always) func bytes(_ widths: Widths) -> UInt8 {
    switch size {
    case .none: return 0
    case .b: return 1
    case .w: return 2
    case .d: return 4
    case .q: return 8
    case .o: return 16
    case .h: return 32
    case .t: return 10
    case .v: return widths.operandSize
    case .z: return widths.operandSize == 2 ? 2 : 4
    case .y: return widths.w && widths.mode == .long64 ? 8 : 4
    case .m: return widths.mode == .long64 ? 8 : 4
    case .x: return widths.vectorLength
    case .k: return widths.vectorLength >> 1
    case .f: return widths.vectorLength >> 2
    case .e: return widths.vectorLength >> 3
    case .p: return widths.operandSize &+ 2
    case .s: return widths.operandSize == 8 ? 10 : 6
    case .a: return widths.operandSize &* 2
    case .n: return widths.operandSize == 2 ? 14 : 28
    case .u: return widths.operandSize == 2 ? 94 : 108
    }
  }

  var usesModRMRegisterField: Bool {
    switch code {
    case .regGeneral, .regSegment, .regControl, .regDebug, .regVector, .regMMX: return true
    default: return false
    }
  }

  /// What ModRM.mod may say: nil where the operand is not in ModRM.rm; else whether a register and whether memory may be.
  var rm: (register: Bool, memory: Bool)? {
    switch code {
    case .rmGeneral, .rmVector, .rmMMX: return (true, true)
    case .rmGeneralOnly, .rmVectorOnly, .rmMMXOnly, .rmX87: return (true, false)
    case .memory, .vectorMemory: return (false, true)
    default: return nil
    }
  }

  /// Reads one operand of a table row; nil if it is misspelt.
  static func parse(_ text: Substring) -> OperandPattern? {
    switch text {
    case "AL": return OperandPattern(code: .fixedGeneral, size: .b, register: 0)
    case "AX": return OperandPattern(code: .fixedGeneral, size: .w, register: 0)
    case "eAX": return OperandPattern(code: .fixedGeneral, size: .z, register: 0)
    case "rAX": return OperandPattern(code: .fixedGeneral, size: .v, register: 0)
    case "CL": return OperandPattern(code: .fixedGeneral, size: .b, register: 1)
    case "DX": return OperandPattern(code: .fixedGeneral, size: .w, register: 2)
    case "ES": return OperandPattern(code: .fixedSegment, size: .w, register: 0)
    case "CS": return OperandPattern(code: .fixedSegment, size: .w, register: 1)
    case "SS": return OperandPattern(code: .fixedSegment, size: .w, register: 2)
    case "DS": return OperandPattern(code: .fixedSegment, size: .w, register: 3)
    case "FS": return OperandPattern(code: .fixedSegment, size: .w, register: 4)
    case "GS": return OperandPattern(code: .fixedSegment, size: .w, register: 5)
    case "XMM0": return OperandPattern(code: .fixedVector, size: .o, register: 0)
    case "ST0": return OperandPattern(code: .fixedX87, size: .t, register: 0)
    case "STi": return OperandPattern(code: .rmX87, size: .t)
    case "Is": return OperandPattern(code: .signedByte, size: .b)
    case "1": return OperandPattern(code: .one, size: .b)
    case "M": return OperandPattern(code: .memory)
    default: break
    }
    guard text.count == 2, let code = letterCode(text.first), let size = letterSize(text.last) else { return nil }
    return OperandPattern(code: code, size: size)
  }

  private static func letterCode(_ letter: Character?) -> Code? {
    switch letter {
    case "G": return .regGeneral
    case "E": return .rmGeneral
    case "R": return .rmGeneralOnly
    case "M": return .memory
    case "X": return .vectorMemory
    case "Z": return .opcodeGeneral
    case "S": return .regSegment
    case "C": return .regControl
    case "D": return .regDebug
    case "V": return .regVector
    case "W": return .rmVector
    case "U": return .rmVectorOnly
    case "H": return .vexVector
    case "L": return .immediateVector
    case "B": return .vexGeneral
    case "P": return .regMMX
    case "Q": return .rmMMX
    case "N": return .rmMMXOnly
    case "I": return .immediate
    case "J": return .relative
    case "A": return .far
    case "O": return .offset
    default: return nil
    }
  }

  private static func letterSize(_ letter: Character?) -> Size? {
    switch letter {
    case "b": return .b
    case "w": return .w
    case "d": return .d
    case "q": return .q
    case "o": return .o
    case "h": return .h
    case "t": return .t
    case "v": return .v
    case "z": return .z
    case "y": return .y
    case "m": return .m
    case "x": return .x
    case "k": return .k
    case "f": return .f
    case "e": return .e
    case "p": return .p
    case "s": return .s
    case "a": return .a
    case "n": return .n
    case "u": return .u
    default: return nil
    }
  }
}
