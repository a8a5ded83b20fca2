/// A difference between the processor that vectors were recorded on and those since the 386, or what the manuals leave open.
///
/// Each has a rule (`VectorRules`) that says when it may apply and what it changes: then everything must be as recorded.
public enum VectorReason: String, CaseIterable, Sendable {
  case undefinedFlags = "undefined flags"
  // 8086
  case alias = "opcode decoded with fewer bits"
  case regField = "reg field decoded with fewer bits"
  case codeSegment = "MOV to CS"
  case setAllOnes = "shift group 6 sets all ones"
  case escape = "coprocessor's instruction, no coprocessor"
  case pushSP = "PUSH SP"
  case upperFlags = "FLAGS 15:12 pushed"
  case shiftCount = "shift count above 31"
  case decimal = "DAA and DAS"
  case ascii = "AAA and AAS"
  case divideReturn = "#DE returns behind the instruction"
  case idivMinimum = "IDIV of a most negative quotient"
  case idivRepeated = "IDIV after REP"
  // 80286
  case lock = "LOCK of anything"
  case longInstruction = "more than 10 bytes"
  case laterSegments = "FS and GS"
  case loadFarRegister = "LDS of a register"
  case stackFault = "#SS was exception 13"
  case stringMoved = "string instruction moved on before #GP"
  case popMoved = "POP moved SP before #GP"
  case idivBeyond = "IDIV far beyond"
  case interruptFrame = "SS pushed for CS"
  case halfVector = "half of an interrupt vector recorded"
  // both
  case aamZero = "AAM 0 changes flags"
  case wraps = "wraps at FFFF"
}
