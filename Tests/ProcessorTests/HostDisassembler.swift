import CCapstone
import CHost
import X86

@testable import Processor

/// Host code as text that is the same in every run and on every machine: state by name, runtime routines by name, places in the code
/// by number, pointers as `site`.
final class HostDisassembler {
  private var handle: csh = 0
  private let instruction: UnsafeMutablePointer<cs_insn>
  private let fields: [(offset: Int, name: String)]

  struct Line {
    var offset: Int
    var text: String
    /// Where it jumps within the code.
    var target: Int?
  }

  init?() {
    guard cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK, let memory = cs_malloc(handle) else { return nil }
    instruction = memory
    func at(_ path: PartialKeyPath<pv_vcpu>) -> Int { MemoryLayout<pv_vcpu>.offset(of: path) ?? 0 }
    var fields: [(Int, String)] = []
    for (number, name) in ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"].enumerated() { fields.append((number * 8, name)) }
    for number in 8..<16 { fields.append((number * 8, "r\(number)")) }
    let words: [(PartialKeyPath<pv_vcpu>, String)] = [
      (\.zero, "zero"), (\.block_rip, "block_rip"), (\.lazy_result, "lazy_result"), (\.lazy_aux, "lazy_aux"), (\.rflags, "rflags"),
      (\.budget, "budget"), (\.deadline, "deadline"), (\.tlb, "tlb"), (\.block, "block"), (\.block_table, "block_table"),
      (\.block_mask, "block_mask"), (\.rip, "rip"), (\.next_rip, "next_rip"), (\.extra_cycles, "extra_cycles"), (\.page_rip, "page_rip"),
      (\.host_stack, "host_stack"), (\.flags_a, "flags_a"), (\.flags_b, "flags_b"), (\.flags_carry, "flags_carry"),
      (\.flags_result, "flags_result"), (\.carry_byte, "carry_byte"), (\.flags_kind, "flags_kind"), (\.link_slot, "link_slot"),
      (\.flags_image, "flags_image"), (\.native_scratch, "native_scratch"), (\.native_enabled, "native_enabled"),
      (\.native_site_end, "native_site_end"), (\.exit, "exit"), (\.vector, "vector"), (\.error_code, "error_code"),
      (\.has_error_code, "has_error_code"), (\.fault_op, "fault_op"), (\.cr0, "cr0"), (\.cr2, "cr2"), (\.cr3, "cr3"), (\.cr4, "cr4"),
      (\.cr8, "cr8"), (\.xcr0, "xcr0"), (\.efer, "efer"), (\.dr, "dr"), (\.ldt, "ldt"), (\.tsc_aux, "tsc_aux"), (\.cpl, "cpl"),
      (\.mode, "mode"), (\.mxcsr, "mxcsr"), (\.x87_control_status, "x87_control_status"), (\.x87_top, "x87_top"),
      (\.x87_tags, "x87_tags"), (\.vector_ready, "vector_ready"), (\.x87_ip, "x87_ip"), (\.x87_dp, "x87_dp"), (\.random, "random"),
      (\.page_table_write, "page_table_write"), (\.owner, "owner"), (\.native_set, "native_set"), (\.page_bits, "page_bits"),
      (\.x87, "x87"), (\.scratch, "scratch"),
    ]
    for (path, name) in words { fields.append((at(path), name)) }
    for (number, name) in ["es", "cs", "ss", "ds", "fs", "gs"].enumerated() { fields.append((at(\.seg) + number * 16, name)) }
    for number in 0..<16 { fields.append((at(\.ymm) + number * 32, "ymm\(number)")) }
    self.fields = fields.sorted { $0.0 < $1.0 }.map { (offset: $0.0, name: $0.1) }
  }

  deinit {
    cs_free(instruction, 1)
    cs_close(&handle)
  }

  /// The instructions from `start` to `end` of a buffer.
  ///
  /// - Parameters:
  ///   - routines: names of places outside.
  ///   - known: immediates that are the guest's.
  func lines(_ buffer: UnsafePointer<UInt8>, _ start: Int, _ end: Int, routines: [Int: String], known: Set<UInt64>) -> [Line] {
    var lines: [Line] = []
    var code: UnsafePointer<UInt8>? = buffer + start
    var size = end - start
    var address = UInt64(start)
    while size > 0 {
      let offset = Int(address)
      guard cs_disasm_iter(handle, &code, &size, &address, instruction) else {
        // Not every form is known to Capstone; the project's own decoder is asked then.
        let rest = UnsafeRawBufferPointer(start: buffer + offset, count: min(15, end - offset))
        guard let own = try? Decoder.decode(rest, mode: .long64) else {
          lines.append(Line(offset: offset, text: "(bad)", target: nil))
          return lines
        }
        lines.append(Line(offset: offset, text: own.description, target: nil))
        let length = Int(own.length)
        (code, size, address) = (buffer + offset + length, end - offset - length, UInt64(offset + length))
        continue
      }
      let name = withUnsafeBytes(of: instruction.pointee.mnemonic) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      let operands = withUnsafeBytes(of: instruction.pointee.op_str) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      var line = Line(offset: offset, text: name + (operands.isEmpty ? "" : " " + symbolic(operands, known)), target: nil)
      // The offset of a jump that may be linked moves with everything before it.
      if line.text.hasPrefix("mov dword [link_slot], 0x"), !line.text.hasSuffix(" 0xffffffff") { line.text = "mov dword [link_slot], link" }
      if name == "call" || name.hasPrefix("j"), let target = Self.number(operands) {
        if let routine = routines[Int(target)] {
          line.text = "\(name) \(routine)"
        } else if target >= start && target <= end {
          line.text = name
          line.target = Int(target)
        } else {
          line.text = "\(name) outside"
        }
      }
      lines.append(line)
    }
    return lines
  }

  private static func number(_ text: String) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  /// Operands with the state's fields by name and host pointers as `site`.
  private func symbolic(_ operands: String, _ known: Set<UInt64>) -> String {
    operands.split(separator: ",").map { operand in
      var text = String(operand).trimmingPrefix(" ")[...]
      if let open = text.range(of: "[rsp"), let close = text.firstIndex(of: "]") {
        let inner = text[open.upperBound..<close]
        var offset = 0
        if inner.isEmpty {
          offset = 0
        } else if inner.hasPrefix(" + "), let value = Self.number(String(inner.dropFirst(3))) {
          offset = Int(value)
        } else {
          return String(text)
        }
        return text[..<open.lowerBound].replacing(" ptr", with: "") + "[" + field(offset) + "]"
      }
      // A pointer of user space, perhaps with marks in its top bits.
      if let value = Self.number(String(text)), !known.contains(value), value & 0xFFFF_FFFF_FFFF >= 0x5000_0000_0000, value & 1 << 47 == 0 {
        return value >> 48 == 0 ? "site" : "site with 0x\(String(value >> 48, radix: 16))"
      }
      text.replace(" ptr", with: "")
      return String(text)
    }.joined(separator: ", ")
  }

  private func field(_ offset: Int) -> String {
    guard let last = fields.last(where: { $0.offset <= offset }) else { return "\(offset)" }
    return last.offset == offset ? last.name : "\(last.name)+\(offset - last.offset)"
  }
}
