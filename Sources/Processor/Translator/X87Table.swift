import CHost
import X86

/// The encoding of an x87 instruction that runs as itself on the host, on the guest's own registers.
struct X87Encoding: Sendable {
  /// What there is to do besides the instruction.
  enum Shape: Sendable {
    /// Nothing; a memory operand is read.
    case plain
    /// The memory operand is written.
    case store
    /// No instruction either: with no exception pending it waits for nothing.
    case nothing
    /// It sets ZF, PF and CF and clears the other flags.
    case compareToFlags
    /// It looks at the flags.
    case conditionalMove
    /// The word is looked at first: one that unmasks an exception is the interpreter's.
    case loadControl
  }
  var shape: Shape
  /// 0xD8...0xDF.
  var opcode: Int
  var modRM: Int

  /// Nil where the bytes are no such instruction.
  init?(_ shape: Shape, _ i: Instruction, _ bytes: UnsafeRawBufferPointer) {
    self.shape = shape
    let escape = bytes.prefix(Int(i.length)).firstIndex { 0xD8...0xDF ~= $0 || $0 == 0x9B }
    guard let at = escape else { return nil }
    opcode = Int(bytes[at])
    modRM = at + 1 < Int(i.length) ? Int(bytes[at + 1]) : 0
    guard opcode != 0x9B || shape == .nothing else { return nil }
  }

  /// The condition code that FCMOVcc is of: B, E, BE, U in this order, and their opposites.
  var condition: Int? {
    guard shape == .conditionalMove else { return nil }
    return [2, 4, 6, 10][modRM >> 3 & 3] | (opcode == 0xDB ? 1 : 0)
  }

  /// What a host may be slow at where a register holds a NaN (`Translator.emitMindingNaNs`).
  var mindsNaNs: Bool {
    let (reg, isMemory) = (modRM >> 3 & 7, modRM < 0xC0)
    switch opcode {
    case 0xD8, 0xDC: return reg & 6 != 2 || opcode == 0xD8 && !isMemory
    case 0xDA: return isMemory && reg & 6 != 2
    case 0xDE: return reg & 6 != 2 || modRM == 0xD9
    case 0xD9: return modRM == 0xFA || modRM == 0xFC
    case 0xDB: return isMemory ? 1...3 ~= reg : reg == 6
    case 0xDD: return isMemory && reg == 1
    case 0xDF: return isMemory ? 1...3 ~= reg || reg == 7 : reg == 6
    default: return false
    }
  }

  static let hostAssistsNaNs = pv_x87_assists() != 0

  /// By mnemonic number. Not here: what stores or loads instruction pointers, which are 0 in every image of Paravane's.
  static let shapes: [Shape?] = {
    var shapes = [Shape?](repeating: nil, count: 1 << 12)
    guard x87Available, HostKnownResults.present.contains(.x87) else { return shapes }
    let names: [(Shape, String)] = [
      (
        .plain,
        """
        fadd fmul fsub fsubr fdiv fdivr faddp fmulp fsubp fsubrp fdivp fdivrp fiadd fimul fisub fisubr fidiv fidivr fcom fcomp fcompp
        fucom fucomp fucompp ficom ficomp ftst fxam fchs fabs fsqrt frndint fscale fprem fprem1 f2xm1 fyl2x fyl2xp1 fptan fpatan fsin
        fcos fsincos fxtract fld fild fbld fld1 fldl2t fldl2e fldpi fldlg2 fldln2 fldz fxch ffree ffreep fincstp fdecstp fninit fnclex
        """
      ),
      (.store, "fst fstp fist fistp fisttp fbstp fnstcw fnstsw"),
      (.nothing, "fnop fwait"),
      (.compareToFlags, "fcomi fcomip fucomi fucomip"),
      (.conditionalMove, "fcmovb fcmove fcmovbe fcmovu fcmovnb fcmovne fcmovnbe fcmovnu"),
      (.loadControl, "fldcw"),
    ]
    for (shape, list) in names {
      for name in list.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
        if let mnemonic = Mnemonic(String(name)) { shapes[Int(mnemonic.rawValue)] = shape }
      }
    }
    return shapes
  }()
}
