import CHost
import Processor
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How a case ended: on with the next instruction, or with an exception.
struct Outcome: Equatable {
  /// -1 where it went on.
  var vector: Int32
  var error: UInt32
  var cr2: UInt64

  static let went = Outcome(vector: -1, error: 0, cr2: 0)

  var text: String {
    vector < 0 ? "went on" : "exception \(vector), error \(String(error, radix: 16)), cr2 \(String(cr2, radix: 16))"
  }
}

/// One thing that differs.
struct Difference {
  /// What: "rax", "flags", "ymm3", "memory" …
  var what: String
  var host: String
  var guest: String
}

/// Holds the two results against one another.
struct Comparison {
  let hostState: UnsafeMutablePointer<psil_state>
  let guestState: UnsafePointer<psil_state>
  let hostData: UnsafeMutableRawPointer
  let guestData: UnsafeMutableRawPointer
  let open: OpenResults

  static let names = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
  ]

  static func hex(_ value: UInt64) -> String { String(value, radix: 16) }

  /// The host's outcome. A breakpoint or a refused fetch at a branch's target is the branch's success; `rip` is then there.
  static func hostOutcome(_ test: SiliconCase, _ state: UnsafeMutablePointer<psil_state>) -> Outcome {
    let s = state.pointee
    let end = test.start &+ UInt64(test.bytes.count)
    if s.signal == 0 {
      state.pointee.rip = end
      return .went
    }
    if s.vector == 3 && !(test.instruction.mnemonic.name == "int3" && s.rip == end) {
      state.pointee.rip = s.rip &- 1
      return .went
    }
    if s.vector == 14 && s.error & 0x10 != 0 && s.cr2 == s.rip && !(s.rip >= test.start && s.rip < end) { return .went }
    var error = s.error
    // The system does not tell its programs whether its own pages are there.
    if s.vector == 14 && s.cr2 >= 0x7FFF_FFFF_F000 { error &= ~1 }
    return Outcome(vector: Int32(bitPattern: s.vector), error: error, cr2: s.vector == 14 ? s.cr2 : 0)
  }

  /// The guest's outcome. Where it runs on (`stops`), reaching the exit or a breakpoint is success as it is on the host.
  static func guestOutcome(_ test: SiliconCase, _ exit: Exit, _ state: UnsafeMutablePointer<psil_state>, stops: Bool) -> Outcome {
    let (rip, cr2) = (state.pointee.rip, state.pointee.cr2)
    let end = test.start &+ UInt64(test.bytes.count)
    switch exit {
    case .deadline: return .went
    case .exception(3, _) where stops && !(test.instruction.mnemonic.name == "int3" && rip == end):
      state.pointee.rip = rip &- 1
      return .went
    case .exception(14, _) where stops && rip == psil_exit_address():
      state.pointee.rip = end
      return .went
    case .exception(14, let error?) where stops && error & 0x10 != 0 && cr2 == rip && !(rip >= test.start && rip < end): return .went
    case .exception(let vector, let error):
      return Outcome(vector: Int32(vector), error: error ?? 0, cr2: vector == 14 ? cr2 : 0)
    case .syscall: return Outcome(vector: 1000, error: 0, cr2: 0)
    case .sysenter: return Outcome(vector: 1001, error: 0, cr2: 0)
    case .interrupt(let vector): return Outcome(vector: 2000 + Int32(vector), error: 0, cr2: 0)
    case .halt: return Outcome(vector: 1002, error: 0, cr2: 0)
    case .stop, .interruptWindow, .tripleFault: return Outcome(vector: 1003, error: 0, cr2: 0)
    }
  }

  /// Everything that differs; empty as a rule.
  func differences(_ test: SiliconCase, _ host: Outcome, _ guest: Outcome) -> [Difference] {
    let found = compareAll(test, host, guest)
    if found.isEmpty { return found }
    open.level(test, host, hostState, guestState)
    return compareAll(test, host, guest)
  }

  private func compareAll(_ test: SiliconCase, _ host: Outcome, _ guest: Outcome) -> [Difference] {
    var found: [Difference] = []
    var host = host
    let rules = open.rules(test)
    if rules.names.contains("faultPage") && host.cr2 >> 12 == guest.cr2 >> 12 { host.cr2 = guest.cr2 }
    if host != guest { found.append(Difference(what: "outcome", host: host.text, guest: guest.text)) }
    let h = hostState.pointee
    let g = guestState.pointee
    func compare(_ what: String, _ a: UInt64, _ b: UInt64) {
      if a != b { found.append(Difference(what: what, host: Self.hex(a), guest: Self.hex(b))) }
    }
    compare("rip", h.rip, g.rip)
    let hostRaw = UnsafeRawPointer(hostState)
    let guestRaw = UnsafeRawPointer(guestState)
    if memcmp(hostRaw, guestRaw, 128) != 0 {
      for i in 0..<16 {
        compare(Self.names[i], hostRaw.load(fromByteOffset: i * 8, as: UInt64.self), guestRaw.load(fromByteOffset: i * 8, as: UInt64.self))
      }
    }
    // RF is the exception's, not the instruction's.
    var looked: UInt64 = 0x24_4DD5
    if host.vector < 0 { looked &= ~rules.flags }
    compare("flags", h.rflags & looked, g.rflags & looked)
    compare("fs base", h.fs_base, g.fs_base)
    compare("gs base", h.gs_base, g.gs_base)
    // A switch to another program on the host makes 0 of the other null selectors.
    func selector(_ value: UInt16) -> UInt64 { value < 4 ? 0 : UInt64(value) }
    compare("es", selector(h.selectors.0), selector(g.selectors.0))
    compare("ss", selector(h.selectors.2), selector(g.selectors.2))
    compare("ds", selector(h.selectors.3), selector(g.selectors.3))
    compare("fs", selector(h.selectors.4), selector(g.selectors.4))
    compare("gs", selector(h.selectors.5), selector(g.selectors.5))
    compareImages(hostRaw + 256, guestRaw + 256, &found)
    let looksAtMemory = host.vector < 0 || !rules.names.contains("faultMemory") || test.instruction.operands.0.size != 10
    if looksAtMemory && memcmp(hostData, guestData, Int(PSIL_DATA_BYTES)) != 0 { compareMemory(test, &found) }
    return found
  }

  private func compareImages(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ found: inout [Difference]) {
    func compare(_ what: String, _ x: UInt64, _ y: UInt64) {
      if x != y { found.append(Difference(what: what, host: Self.hex(x), guest: Self.hex(y))) }
    }
    func word<T: FixedWidthInteger>(_ p: UnsafeRawPointer, _ offset: Int, _: T.Type) -> UInt64 {
      UInt64(truncatingIfNeeded: p.load(fromByteOffset: offset, as: T.self))
    }
    compare("fcw", word(a, 0, UInt16.self), word(b, 0, UInt16.self))
    compare("fsw", word(a, 2, UInt16.self), word(b, 2, UInt16.self))
    compare("ftw", word(a, 4, UInt8.self), word(b, 4, UInt8.self))
    compare("mxcsr", word(a, 24, UInt32.self), word(b, 24, UInt32.self))
    for i in 0..<8 {
      let at = 32 + i * 16
      let low = word(a, at, UInt64.self)
      let otherLow = word(b, at, UInt64.self)
      let high = word(a, at + 8, UInt16.self)
      let otherHigh = word(b, at + 8, UInt16.self)
      if low != otherLow || high != otherHigh {
        found.append(
          Difference(what: "st", host: "\(i): \(Self.hex(high)):\(Self.hex(low))", guest: "\(Self.hex(otherHigh)):\(Self.hex(otherLow))"))
      }
    }
    if memcmp(a + 160, b + 160, 256) == 0 && memcmp(a + 576, b + 576, 256) == 0 { return }
    for i in 0..<16 {
      func text(_ p: UnsafeRawPointer) -> String {
        let offsets = [584 + i * 16, 576 + i * 16, 168 + i * 16, 160 + i * 16]
        return offsets.map { Self.hex(word(p, $0, UInt64.self)) }.joined(separator: "_")
      }
      if memcmp(a + 160 + i * 16, b + 160 + i * 16, 16) != 0 || memcmp(a + 576 + i * 16, b + 576 + i * 16, 16) != 0 {
        found.append(Difference(what: "ymm", host: "\(i): \(text(a))", guest: text(b)))
      }
    }
  }

  private func compareMemory(_ test: SiliconCase, _ found: inout [Difference]) {
    var text = ("", "")
    var shown = 0
    for i in 0..<Int(PSIL_DATA_BYTES) {
      let a = hostData.load(fromByteOffset: i, as: UInt8.self)
      let b = guestData.load(fromByteOffset: i, as: UInt8.self)
      if a == b || open.ignoresMemory(test, UInt64(PSIL_DATA) + UInt64(i)) { continue }
      shown += 1
      if shown > 24 { continue }
      let offset =
        test.operand.map { " +\(Int64(bitPattern: UInt64(PSIL_DATA) + UInt64(i) &- $0))" } ?? " @\(Self.hex(UInt64(PSIL_DATA) + UInt64(i)))"
      text.0 += "\(offset): \(Self.hex(UInt64(a)))"
      text.1 += " \(Self.hex(UInt64(b)))"
    }
    if shown > 0 { found.append(Difference(what: "memory", host: text.0, guest: text.1)) }
  }
}
