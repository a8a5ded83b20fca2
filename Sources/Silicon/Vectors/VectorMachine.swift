import CHost
import GuestMemory
import Processor
import X86

/// Runs recorded instructions of real processors in real mode, in the interpreter, and says what is not as recorded, and why.
public final class VectorMachine {
  let memory: MachineMemory
  private let vcpu: VCPU
  public let processor: RecordedProcessor
  /// All that real mode reaches.
  private static let reach = 0x11_0000

  public init(_ processor: RecordedProcessor) throws {
    memory = try MachineMemory(frameCount: 0x220)
    vcpu = VCPU(memory: memory)
    self.processor = processor
    vcpu.ownPageTables(physicalBits: 40)
    vcpu.powerOn(signature: 0)
    vcpu.a20Enabled = processor == .i80286
    vcpu.system.portIn = { _, _ in ~0 }
    vcpu.system.portOut = { _, _, _ in }
  }

  /// What comes of a vector.
  public enum Verdict: Equatable, Sendable {
    case same
    /// Different, and each of the reasons is needed, and together they account for everything.
    case explained([VectorReason])
    /// Different: what, as a few words each, at the nearest that could be had.
    case unexplained([String])
  }

  /// Runs a vector and, if that is not as recorded, again with the differences between processors that might apply: alone, then two and
  /// three of them together.
  public func judge(_ vector: ProcessorVector) -> Verdict {
    let plan = VectorPlan(vector)
    let first = run(vector, plan)
    if first.isEmpty { return .same }
    clear()
    let shape = VectorShape(vector, processor)
    var base = plan
    base.ignoredFlags = undefinedFlags(shape.bytes, vector)
    if base.ignoredFlags != 0 && run(vector, base).isEmpty { return .explained([.undefinedFlags]) }
    let rules = VectorRules(vector: vector, shape: shape, machine: self)
    let reasons = VectorReason.allCases.filter { !rules.plans($0, base).isEmpty }
    var nearest = run(vector, base)
    clear()
    if nearest.isEmpty { nearest = first }
    for count in 1...3 {
      for chosen in Self.choices(reasons, count) {
        for tried in chosen.reduce([base], { plans, reason in plans.flatMap { rules.plans(reason, $0) } }) {
          let differences = run(vector, tried)
          clear()
          if differences.isEmpty { return .explained(chosen) }
          if differences.count < nearest.count { nearest = differences }
        }
      }
    }
    return .unexplained(nearest)
  }

  /// Every choice of `count` from a list, in its order.
  private static func choices<T>(_ list: [T], _ count: Int) -> [[T]] {
    guard count > 0 else { return [[]] }
    guard list.count >= count else { return [] }
    return list.indices.flatMap { first in
      choices(Array(list[(first + 1)...]), count - 1).map { [list[first]] + $0 }
    }
  }

  /// Whether nothing but what vectors name has been written since the last time; for use after vectors that were `same`.
  public func isClean() -> Bool {
    let words = memory.base.assumingMemoryBound(to: UInt64.self)
    for index in 0..<Self.reach / 8 where words[index] != 0 {
      clear()
      return false
    }
    return true
  }

  private func clear() { memory.base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.reach) }

  /// A linear address, as far as the processor has address lines.
  func linear(_ segment: UInt16, _ offset: UInt16) -> UInt32 { reached(UInt32(segment) << 4 &+ UInt32(offset)) }
  private func reached(_ address: UInt32) -> UInt32 { processor == .i8086 ? address & 0xF_FFFF : address }

  /// Of a byte of the instruction.
  private func place(_ plan: VectorPlan, _ index: Int) -> UInt32 {
    linear(plan.before[4], plan.before[12] &+ UInt16(truncatingIfNeeded: index))
  }

  private func set(_ before: [UInt16], _ plan: VectorPlan) {
    let cpu = vcpu.cpu
    vcpu.initialise(signature: 0)
    let r = before.map { UInt64($0) }
    cpu.pointee.gpr.0 = r[0]
    cpu.pointee.gpr.3 = r[1]
    cpu.pointee.gpr.1 = r[2]
    cpu.pointee.gpr.2 = r[3]
    cpu.pointee.gpr.4 = r[8]
    cpu.pointee.gpr.5 = r[9]
    cpu.pointee.gpr.6 = r[10]
    cpu.pointee.gpr.7 = r[11]
    _ = vcpu.loadSegment(Int(PV_SS), selector: before[5])
    _ = vcpu.loadSegment(Int(PV_DS), selector: before[6])
    _ = vcpu.loadSegment(Int(PV_ES), selector: before[7])
    cpu.pointee.seg.1.selector = before[4]
    cpu.pointee.seg.1.base = r[4] << 4
    if plan.wraps {
      cpu.pointee.seg.0.limit = 0x1_FFFF
      cpu.pointee.seg.1.limit = 0x1_FFFF
      cpu.pointee.seg.2.limit = 0x1_FFFF
      cpu.pointee.seg.3.limit = 0x1_FFFF
    }
    cpu.pointee.rip = r[4] << 4 &+ r[12]
    // The four upper bits cannot be set in real mode on what was recorded.
    cpu.rflags = r[13] & 0xFD7 & ~Flag.tf | 2
  }

  private func registers() -> [UInt16] {
    let state = vcpu.cpu.pointee
    let wide = [
      state.gpr.0, state.gpr.3, state.gpr.1, state.gpr.2, UInt64(state.seg.1.selector), UInt64(state.seg.2.selector),
      UInt64(state.seg.3.selector), UInt64(state.seg.0.selector), state.gpr.4, state.gpr.5, state.gpr.6, state.gpr.7,
      vcpu.instructionPointer, vcpu.cpu.rflags,
    ]
    return wide.map { UInt16(truncatingIfNeeded: $0) }
  }

  /// The addresses behind the segments' ends, with those at their starts.
  private func aliases(_ plan: VectorPlan) -> [(behind: UInt64, start: UInt64)] {
    plan.before[4...7].flatMap { segment in
      (UInt16(0)..<8).map { (UInt64(reached(UInt32(segment) << 4 &+ 0x1_0000 &+ UInt32($0))), UInt64(linear(segment, $0))) }
    }
  }

  /// What differs after a run, as a few words each; empty if nothing does.
  private func run(_ vector: ProcessorVector, _ plan: VectorPlan) -> [String] {
    for cell in vector.memory { memory.store(cell.value, at: UInt64(cell.address)) }
    for cell in plan.memory { memory.store(cell.value, at: UInt64(cell.address)) }
    if let code = plan.code {
      for (index, byte) in code.enumerated() { memory.store(byte, at: UInt64(place(plan, index))) }
    }
    if plan.stackFaultsAreGeneral {
      for byte in UInt64(0)..<4 { memory.store(memory.load(13 * 4 + byte, as: UInt8.self) ?? 0, at: 12 * 4 + byte) }
    }
    if plan.wraps {
      for alias in aliases(plan) { memory.store(memory.load(alias.start, as: UInt8.self) ?? 0, at: alias.behind) }
    }
    set(plan.before, plan)
    let start = vcpu.cpu.pointee.rip
    var exit = vcpu.run(until: vcpu.now + 1)
    // A repeated instruction is run to its end.
    var turns = 0
    let repeated = vector.bytes.contains { $0 == 0xF2 || $0 == 0xF3 }
    while exit == .deadline && vcpu.cpu.pointee.rip == start && vcpu.cpu.pointee.fault_op == nil && repeated && turns < 1000 {
      exit = vcpu.run(until: vcpu.now + 1)
      turns += 1
    }
    if plan.wraps { unwrap(vector, plan) }
    let differences = exit == .tripleFault ? ["shutdown"] : differences(vector, plan)
    for cell in vector.memory { memory.store(UInt8(0), at: UInt64(cell.address)) }
    for cell in vector.changed { memory.store(UInt8(0), at: UInt64(cell.address)) }
    return differences
  }

  /// Brings what was written behind the segments' ends to their starts.
  private func unwrap(_ vector: ProcessorVector, _ plan: VectorPlan) {
    var recorded: [UInt32: UInt8] = [:]
    for cell in vector.memory + plan.memory { recorded[cell.address] = cell.value }
    for alias in aliases(plan) {
      let before = recorded[UInt32(truncatingIfNeeded: alias.start)] ?? 0
      if let now: UInt8 = memory.load(alias.behind), now != before { memory.store(now, at: alias.start) }
    }
  }

  private func differences(_ vector: ProcessorVector, _ plan: VectorPlan) -> [String] {
    var reasons: [String] = []
    let now = registers()
    for index in 0..<12 where now[index] != plan.after[index] { reasons.append(ProcessorVector.names[index]) }
    var wanted = plan.after[12]
    if processor == .i80286 && vector.bytes.first(where: { $0 != 0xF0 }) != 0xF4 { wanted &-= 1 }
    if now[12] != wanted { reasons.append("ip") }
    let flags = (now[13] ^ plan.after[13]) & 0xFFF & ~plan.ignoredFlags
    if flags != 0 { reasons.append("flags " + Self.names(of: flags)) }
    if !memoryIsAsWanted(vector, plan) { reasons.append("memory") }
    if reasons.contains("ip"), let exception = vector.exception { reasons.append("exception \(exception) wanted") }
    return reasons
  }

  private func memoryIsAsWanted(_ vector: ProcessorVector, _ plan: VectorPlan) -> Bool {
    func differs(_ cell: ProcessorVector.Cell) -> Bool {
      guard let stored: UInt8 = memory.load(UInt64(cell.address)), stored != cell.value else { return false }
      var value = cell.value
      if plan.stackFaultsAreGeneral && (48..<52).contains(cell.address) { return false }
      // Something else ran in the place of the recorded instruction.
      if let code = plan.code, code.indices.contains(where: { cell.address == place(plan, $0) }) { return false }
      if let other = plan.wanted.last(where: { $0.address == cell.address }) { value = other.value }
      var difference = value ^ stored
      for other in plan.ignored where other.address == cell.address { difference &= ~other.value }
      // Flags that were pushed.
      if difference != 0 && plan.ignoredFlags != 0 && pushesFlags(vector) {
        let at = plan.after[8] &+ 4
        if cell.address == linear(plan.before[5], at) { difference &= ~UInt8(truncatingIfNeeded: plan.ignoredFlags) }
        if cell.address == linear(plan.before[5], at &+ 1) { difference &= ~UInt8(truncatingIfNeeded: plan.ignoredFlags >> 8) }
      }
      return difference != 0
    }
    for cell in vector.changed where differs(cell) { return false }
    for cell in vector.memory where differs(cell) {
      if !vector.changed.contains(where: { $0.address == cell.address }) { return false }
    }
    return true
  }

  /// Whether the recorded instruction raised an exception, which pushed FLAGS, CS and IP.
  func pushesFlags(_ vector: ProcessorVector) -> Bool {
    vector.exception != nil || (VectorShape(vector, processor).divides && vector.after[8] == vector.before[8] &- 6)
  }

  private static func names(of flags: UInt16) -> String {
    let all: [(UInt16, String)] = [
      (1, "CF"), (4, "PF"), (0x10, "AF"), (0x40, "ZF"), (0x80, "SF"), (0x100, "TF"), (0x200, "IF"), (0x400, "DF"), (0x800, "OF"),
    ]
    return all.filter { flags & $0.0 != 0 }.map(\.1).joined(separator: " ")
  }

  /// The flags that the manual leaves undefined after an instruction (SDM volume 1, appendix A; for shifts volume 2).
  private func undefinedFlags(_ bytes: [UInt8], _ vector: ProcessorVector) -> UInt16 {
    let bytes = bytes.drop { $0 == 0xF0 || $0 & 0xE7 == 0x26 }
    guard let instruction = try? Decoder.decode(bytes + [UInt8](repeating: 0, count: 15), mode: .protected16) else { return 0 }
    let (cf, pf, af, zf, sf, of): (UInt16, UInt16, UInt16, UInt16, UInt16, UInt16) = (1, 4, 0x10, 0x40, 0x80, 0x800)
    switch instruction.mnemonic.name {
    case "and", "or", "xor", "test": return af
    case "mul", "imul": return pf | af | zf | sf
    case "div", "idiv": return cf | pf | af | zf | sf | of
    case "aaa", "aas": return pf | zf | sf | of
    case "aad", "aam": return cf | af | of
    case "daa", "das": return of
    case "shl", "shr", "sar", "sal", "rol", "ror", "rcl", "rcr":
      let operand = instruction.operands.1
      var count = operand.kind == .immediate ? UInt16(truncatingIfNeeded: instruction.immediate) & 0xFF : vector.before[2] & 0xFF
      if operand.kind == .none { count = 1 }
      if processor == .i80286 { count &= 31 }
      let size = UInt16(instruction.operands.0.size) * 8
      let shifts = instruction.mnemonic.name.hasPrefix("s")
      return count == 0 ? 0 : (shifts ? af : 0) | (count == 1 ? 0 : of) | (shifts && count >= size ? cf : 0)
    default: return 0
    }
  }
}
