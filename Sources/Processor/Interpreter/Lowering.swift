import CHost
import X86

/// Turns a decoded instruction into an operation: picks its handler. The operand fields are filled in already
/// (`Lowering.prepare`): `dst`, `src`, `src2`, `src3` for register operands 0...3, the effective address, `imm`, `size`.
/// Returns false where the form does not exist (#UD).
typealias Lowerer = (_ instruction: Instruction, _ op: inout pv_op) -> Bool

/// Handlers by mnemonic. Each part of the instruction set registers its own at start (`registerInteger` …).
struct LoweringTable {
  private var byMnemonic: [Lowerer?] = Array(repeating: nil, count: 1 << 12)

  /// Registers `lowerer` for a mnemonic of the instruction table; it is a bug of ours to name one that is not there.
  mutating func register(_ names: String..., lowerer: @escaping Lowerer) {
    for name in names {
      guard let mnemonic = Mnemonic(name) else {
        LoweringTable.unknownNames.append(name)
        continue
      }
      let index = Int(mnemonic.rawValue)
      guard let earlier = byMnemonic[index] else {
        byMnemonic[index] = lowerer
        continue
      }
      // MMX and SSE share names: what the later part does not take is the earlier one's.
      byMnemonic[index] = { instruction, op in
        let prepared = op
        if lowerer(instruction, &op) { return true }
        op = prepared
        return earlier(instruction, &op)
      }
    }
  }

  subscript(mnemonic: Mnemonic) -> Lowerer? { byMnemonic[Int(mnemonic.rawValue)] }

  /// Names that a part registered and the table does not have: a test insists that there are none.
  nonisolated(unsafe) static var unknownNames: [String] = []

  nonisolated(unsafe) static let shared: LoweringTable = {
    var table = LoweringTable()
    registerInteger(&table)
    registerStrings(&table)
    registerSystem(&table)
    registerVector(&table)
    registerX87(&table)
    return table
  }()
}
