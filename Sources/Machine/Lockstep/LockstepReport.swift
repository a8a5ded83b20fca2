import Processor

/// What is said of a difference: the instruction, its block, and what each engine made of it.
struct LockstepReport {
  private var left: StateCapture
  private var right: StateCapture
  private var before: StateCapture?
  private var block: [PlacedInstruction] = []
  private var machineAddress: UInt64?
  private var length = 0
  private var culprit: PlacedInstruction?
  private var exits: (String, String)?

  init(left: StateCapture, right: StateCapture) {
    self.left = left
    self.right = right
  }

  init(_ pair: LockstepPair) {
    self.init(left: StateCapture(pair.interpreter.vcpu), right: StateCapture(pair.translator.vcpu))
    before = left
  }

  /// The block that is next.
  mutating func note(block vcpu: VCPU, length: Int) {
    block = vcpu.instructions(count: length)
    machineAddress = vcpu.machineAddress
    self.length = length
  }

  /// The first instruction with a difference, and what it began with.
  mutating func note(instruction: PlacedInstruction?, before: StateCapture, exits: (String, String)?) {
    culprit = instruction
    self.before = before
    self.exits = exits
  }

  mutating func after(_ pair: LockstepPair) {
    left = StateCapture(pair.interpreter.vcpu)
    right = StateCapture(pair.translator.vcpu)
  }

  private static func hex(_ value: UInt64) -> String { String(value, radix: 16) }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }

  /// - Parameter remark: what is special about the difference, as the rest of "the difference …".
  func text(_ remark: String?, frames: [MemoryDifference]) -> String {
    var lines = ["paravane: lockstep: the engines differ after \(before?.instructions ?? left.instructions) instructions"]
    if let instruction = culprit {
      lines.append("  instruction \(Self.hex(instruction.address)): \(instruction.text)  [\(Self.hex(instruction.bytes))]")
    }
    if let remark { lines.append("  the difference \(remark)") }
    if let exits { lines.append("  left by: interpreter \(exits.0), translator \(exits.1)") }
    if let first = block.first {
      let machine = machineAddress.map { " (machine address \(Self.hex($0)))" } ?? ""
      lines.append("  block \(Self.hex(first.address))\(machine), instructions: \(length)")
      for instruction in block {
        let mark = instruction.address == culprit?.address ? ">" : " "
        let bytes = Self.hex(instruction.bytes)
        let space = String(repeating: " ", count: max(1, 32 - bytes.count))
        lines.append("  \(mark) \(Self.hex(instruction.address))  \(bytes)\(space)\(instruction.text)")
      }
    }
    if let before {
      lines.append("  before, in both (cycle \(before.cycle)):")
      lines += before.general.map { "    " + $0 }
    }
    lines.append("  after: interpreter, translator")
    let differences = left.differences(from: right)
    for difference in differences { lines.append("    \(difference.name): \(difference.this), \(difference.other)") }
    if differences.isEmpty { lines.append("    the same registers") }
    if let before {
      let same = left.differences(from: before).filter { changed in !differences.contains { $0.name == changed.name } }
      for change in same { lines.append("    \(change.name): \(change.this) in both, was \(change.other)") }
    }
    for word in frames.prefix(32) {
      let was = word.before.map { ", was \(Self.hex($0))" } ?? ""
      let mark = word.interpreter == word.translator ? "" : " (differs)"
      lines.append("    memory \(Self.hex(word.address)): \(Self.hex(word.interpreter)), \(Self.hex(word.translator))\(was)\(mark)")
    }
    if frames.count > 32 { lines.append("    … \(frames.count - 32) more words of memory") }
    return lines.joined(separator: "\n") + "\n"
  }
}
