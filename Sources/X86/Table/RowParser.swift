// The instruction table is text: one row, one encoding form (a row in braces, several).
//
//   mnemonic operands opcode flags…
//
// - `[name]` on a line of its own names the CPU feature of the rows that follow.
// - `{a,b,c}` in the mnemonic makes a row for each; `{cc}` are the sixteen conditions. In the opcode `+n` adds the index in
//   the list, `+8n` eight times the index, `/n` makes it the ModRM.reg extension.
// - Operands: letters of OperandPattern.swift, separated by commas; `-` none.
// - Opcode: [V.][prefix.][map.]byte[+r][/reg[r]][:modrm]. V: VEX. Prefix: NP none of 66, F2, F3; NF neither F2 nor F3; 66, F3,
//   F2 mandatory; left out: any, not part of the opcode. Map: 0F, 0F38, 0F3A. +r: register in the low three bits. /reg:
//   ModRM.reg is fixed (a following r: and ModRM.mod is 3). :modrm: the whole byte.
// - Flags: lock (with a memory destination); i64, o64 (not, only in 64-bit mode); d64, f64 (operand size 64 by default,
//   always in 64-bit mode); os2, os4, os8, os48, as2, as4, as8 (operand and address size); w0, w1 (REX.W or VEX.W); W0, W1
//   the same; L0, L1 (VEX.L); b0 (no REX.B); priv (needs CPL 0); iopl (needs CPL <= IOPL, or the I/O bitmap); es (the
//   memory is ES:rDI); regonly (ModRM.mod is taken as 3); alt (another form is the usual one).
//
// Rows of one opcode are tried in order.

/// What one row says, before it is laid out for the decoder.
struct ParsedRow {
  var name = ""
  var feature = ""
  var operands: [OperandPattern] = []
  var opcode = Opcode()
  var flags: FormFlags = []
  /// Bits of `MatchKey` that the row accepts (mod, reg and lock are applied when it is laid out).
  var accept: UInt64 = MatchKey.all

  struct Opcode {
    var isVEX = false
    /// 0 one-byte, 1 0F, 2 0F38, 3 0F3A.
    var map = 0
    var byte: UInt8 = 0
    var plusRegister = false
    var reg: UInt8?
    var registerOnly = false
    var modRM: UInt8?
    /// What `accept` has for prefixes: bits 0 none, 1 66, 2 F3, 3 F2.
    var prefixes: UInt64 = 0xF
  }
}

struct RowParser {
  static let conditions = ["o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]

  private(set) var rows: [ParsedRow] = []
  /// Rows that could not be read: a test insists that there are none.
  private(set) var malformed: [String] = []

  mutating func parse(_ text: String) {
    var feature = ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let first = words.first else { continue }
      if first.hasPrefix("[") {
        feature = String(first.dropFirst().dropLast())
        continue
      }
      guard words.count >= 3 else {
        malformed.append(String(line))
        continue
      }
      let (names, expands) = Self.expand(first)
      for (index, name) in names.enumerated() {
        if let row = Self.row(name, words, index: expands ? index : nil, feature: feature) {
          rows.append(row)
        } else {
          malformed.append(String(line))
        }
      }
    }
  }

  /// The mnemonics of a row.
  private static func expand(_ text: Substring) -> (names: [String], expands: Bool) {
    guard let open = text.firstIndex(of: "{"), let close = text.firstIndex(of: "}") else { return ([String(text)], false) }
    let prefix = text[..<open]
    let suffix = text[text.index(after: close)...]
    let inner = text[text.index(after: open)..<close]
    let parts = inner == "cc" ? conditions : inner.split(separator: ",").map(String.init)
    return (parts.map { "\(prefix)\($0)\(suffix)" }, true)
  }

  private static func row(_ name: String, _ words: [Substring], index: Int?, feature: String) -> ParsedRow? {
    var row = ParsedRow()
    row.name = name
    row.feature = feature
    if words[1] != "-" {
      for text in words[1].split(separator: ",") {
        guard let operand = OperandPattern.parse(text) else { return nil }
        row.operands.append(operand)
      }
    }
    guard row.operands.count <= 5, let opcode = self.opcode(words[2], index: index) else { return nil }
    row.opcode = opcode
    row.accept &= ~MatchKey.prefixes | opcode.prefixes
    if opcode.prefixes & 1 == 0 { row.flags.insert(.mandatoryPrefix) }
    for word in words.dropFirst(3) {
      guard apply(word, to: &row) else { return nil }
    }
    if let modRM = opcode.modRM { row.accept &= ~MatchKey.rm | MatchKey.rm(modRM & 7) }
    finish(&row)
    return row
  }

  private static func opcode(_ text: Substring, index: Int?) -> ParsedRow.Opcode? {
    var opcode = ParsedRow.Opcode()
    var parts = text.split(separator: ".")
    guard var last = parts.popLast() else { return nil }
    for part in parts {
      switch part {
      case "V": opcode.isVEX = true
      case "NP": opcode.prefixes = 1
      case "66": opcode.prefixes = 2
      case "F3": opcode.prefixes = 4
      case "F2": opcode.prefixes = 8
      case "NF": opcode.prefixes = 3
      case "0F": opcode.map = 1
      case "0F38": opcode.map = 2
      case "0F3A": opcode.map = 3
      default: return nil
      }
    }
    guard last.count >= 2, let byte = UInt8(last.prefix(2), radix: 16) else { return nil }
    opcode.byte = byte
    last = last.dropFirst(2)
    let n = UInt8(index ?? 0)
    switch last {
    case "": break
    case "+r": opcode.plusRegister = true
    case "+n": opcode.byte = byte &+ n
    case "+8n": opcode.byte = byte &+ 8 &* n
    case "/n": opcode.reg = n
    default:
      if last.hasPrefix("/"), let reg = UInt8(last.dropFirst().prefix(1), radix: 8) {
        opcode.reg = reg
        opcode.registerOnly = last.hasSuffix("r")
      } else if last.hasPrefix(":"), let modRM = UInt8(last.dropFirst(), radix: 16) {
        opcode.modRM = modRM
        opcode.reg = (modRM >> 3) & 7
        opcode.registerOnly = true
      } else {
        return nil
      }
    }
    return opcode
  }

  private static func apply(_ flag: Substring, to row: inout ParsedRow) -> Bool {
    switch flag {
    case "lock": row.flags.insert(.lockable)
    case "i64": row.accept &= ~MatchKey.mode(.long64)
    case "o64": row.accept &= ~MatchKey.mode(.protected32)
    case "d64": row.flags.insert(.default64)
    case "f64": row.flags.insert(.force64)
    case "os2": row.accept &= ~MatchKey.operandSizes | MatchKey.operandSize(2)
    case "os4": row.accept &= ~MatchKey.operandSizes | MatchKey.operandSize(4)
    case "os8": row.accept &= ~MatchKey.operandSizes | MatchKey.operandSize(8)
    case "os48": row.accept &= ~MatchKey.operandSize(2)
    case "as2": row.accept &= ~MatchKey.addressSizes | MatchKey.addressSize(2)
    case "as4": row.accept &= ~MatchKey.addressSizes | MatchKey.addressSize(4)
    case "as8": row.accept &= ~MatchKey.addressSizes | MatchKey.addressSize(8)
    case "w0", "W0": row.accept &= ~MatchKey.w(true)
    case "w1", "W1": row.accept &= ~MatchKey.w(false)
    case "L0": row.accept &= ~MatchKey.l(true)
    case "L1": row.accept &= ~MatchKey.l(false)
    case "b0": row.accept &= ~MatchKey.rm | MatchKey.rm(0)
    case "priv": row.flags.insert(.privileged)
    case "iopl": row.flags.insert(.ioPrivileged)
    case "es": row.flags.insert(.destinationES)
    case "regonly": row.flags.insert(.registerOnly)
    case "alt": row.flags.insert(.alternative)
    default: return false
    }
    return true
  }

  /// What follows from the rest of the row.
  private static func finish(_ row: inout ParsedRow) {
    // Where the default operand size is 64, os8 means "in 64-bit mode" and os4 "in the others".
    if row.flags.contains(.default64) {
      if row.accept & MatchKey.operandSizes == MatchKey.operandSize(8) {
        row.accept |= MatchKey.operandSize(4)
        row.accept &= ~MatchKey.mode(.protected32)
      } else if row.accept & MatchKey.operandSizes == MatchKey.operandSize(4) {
        row.accept &= ~MatchKey.mode(.long64)
      }
    }
    guard row.opcode.isVEX else { return }
    let usesVVVV = row.operands.contains { $0.code == .vexVector || $0.code == .vexGeneral }
    if !usesVVVV { row.accept &= ~MatchKey.vvvvUsed }
    if row.operands.contains(where: { $0.code == .vectorMemory }) { row.flags.insert(.vsib) }
    let byLength = row.operands.contains { [.x, .k, .f, .e].contains($0.size) || $0.code == .vectorMemory }
    let anyLength = MatchKey.l(true) | MatchKey.l(false)
    if !byLength && row.accept & anyLength == anyLength { row.flags.insert(.ignoresL) }
  }
}
