import CCapstone
import X86

/// The Capstone disassembler, as an oracle.
final class Capstone {
  private var handle: csh = 0
  private let instruction: UnsafeMutablePointer<cs_insn>
  let mode: CodeMode

  init?(_ mode: CodeMode) {
    self.mode = mode
    let bits: cs_mode
    switch mode {
    case .long64: bits = CS_MODE_64
    case .protected32: bits = CS_MODE_32
    case .protected16: bits = CS_MODE_16
    }
    guard cs_open(CS_ARCH_X86, bits, &handle) == CS_ERR_OK, let memory = cs_malloc(handle) else { return nil }
    instruction = memory
  }

  deinit {
    cs_free(instruction, 1)
    cs_close(&handle)
  }

  struct Answer {
    var length: Int
    /// Capstone's name of the instruction, without prefixes and conditions.
    var name: String
    /// What it prints.
    var text: String
  }

  /// The first instruction in `bytes`, or nil if Capstone finds none.
  func decode(_ bytes: UnsafeBufferPointer<UInt8>) -> Answer? {
    var code: UnsafePointer<UInt8>? = bytes.baseAddress
    var size = bytes.count
    var address: UInt64 = 0
    guard cs_disasm_iter(handle, &code, &size, &address, instruction) else { return nil }
    let name = cs_insn_name(handle, instruction.pointee.id).map { String(cString: $0) } ?? ""
    return Answer(length: Int(instruction.pointee.size), name: name, text: "")
  }

  /// What Capstone prints for the instruction found last.
  var lastText: String {
    let mnemonic = withUnsafeBytes(of: instruction.pointee.mnemonic) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let operands = withUnsafeBytes(of: instruction.pointee.op_str) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return mnemonic + " " + operands
  }
}
