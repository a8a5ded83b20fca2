import CHost
import GuestMemory
import Processor
import X86

/// Runs recorded instructions of real processors in real mode, in the interpreter, and says what is not as recorded.
public final class VectorMachine {
  private let memory: MachineMemory
  private let vcpu: VCPU
  private let endsInHalt: Bool

  /// - Parameter endsInHalt: as `VectorFile.endsInHalt`; without it the processor has 20 address lines.
  public init(endsInHalt: Bool) throws {
    memory = try MachineMemory(frameCount: 4096 + 32)
    vcpu = VCPU(memory: memory)
    self.endsInHalt = endsInHalt
    vcpu.ownPageTables(physicalBits: 40)
    vcpu.powerOn(signature: 0)
    vcpu.a20Enabled = endsInHalt
    vcpu.system.portIn = { _, _ in ~0 }
    vcpu.system.portOut = { _, _, _ in }
  }

  private static let general = [0, 3, 1, 2]

  private func set(_ vector: ProcessorVector) {
    let cpu = vcpu.cpu
    vcpu.initialise(signature: 0)
    let r = vector.before.map { UInt64($0) }
    cpu.pointee.gpr.0 = r[0]
    cpu.pointee.gpr.3 = r[1]
    cpu.pointee.gpr.1 = r[2]
    cpu.pointee.gpr.2 = r[3]
    cpu.pointee.gpr.4 = r[8]
    cpu.pointee.gpr.5 = r[9]
    cpu.pointee.gpr.6 = r[10]
    cpu.pointee.gpr.7 = r[11]
    _ = vcpu.loadSegment(Int(PV_SS), selector: vector.before[5])
    _ = vcpu.loadSegment(Int(PV_DS), selector: vector.before[6])
    _ = vcpu.loadSegment(Int(PV_ES), selector: vector.before[7])
    cpu.pointee.seg.1.selector = vector.before[4]
    cpu.pointee.seg.1.base = r[4] << 4
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

  /// What differs after the vector's instruction, as a few words each; empty if nothing does. Results that the architecture leaves
  /// undefined do not count.
  public func run(_ vector: ProcessorVector) -> [String] {
    for cell in vector.memory { memory.store(cell.value, at: UInt64(cell.address)) }
    set(vector)
    let start = vcpu.cpu.pointee.rip
    var exit = vcpu.run(until: vcpu.now + 1)
    // A repeated instruction is run to its end.
    var turns = 0
    while exit == .deadline && vcpu.cpu.pointee.rip == start && vcpu.cpu.pointee.fault_op == nil && isRepeated(vector) && turns < 1000 {
      exit = vcpu.run(until: vcpu.now + 1)
      turns += 1
    }
    let reasons = exit == .tripleFault ? ["shutdown"] : differences(vector)
    for cell in vector.memory + vector.changed { memory.store(UInt8(0), at: UInt64(cell.address)) }
    return reasons
  }

  /// Whether a later processor refuses what the recorded one ran: LOCK where there is nothing to lock, and as a prefix of what it does not
  /// lock, is #UD since the 386.
  public func isRefusedSince(_ vector: ProcessorVector) -> Bool {
    for byte in vector.bytes {
      if byte == 0xF0 { return true }
      if ![0x26, 0x2E, 0x36, 0x3E, 0xF2, 0xF3].contains(byte) { return false }
    }
    return false
  }

  private func isRepeated(_ vector: ProcessorVector) -> Bool { vector.bytes.contains { $0 == 0xF2 || $0 == 0xF3 } }

  private func differences(_ vector: ProcessorVector) -> [String] {
    var reasons: [String] = []
    let now = registers()
    let ignored = undefinedFlags(vector)
    let halts = vector.bytes.first == 0xF4
    for index in 0..<12 where now[index] != vector.after[index] { reasons.append(ProcessorVector.names[index]) }
    var wanted = vector.after[12]
    if endsInHalt && !halts { wanted &-= 1 }
    if now[12] != wanted { reasons.append("ip") }
    let flags = (now[13] ^ vector.after[13]) & 0xFD5 & ~ignored
    if flags != 0 { reasons.append("flags " + Self.names(of: flags)) }
    let flagsAt = UInt32(vector.before[5]) << 4 &+ UInt32(vector.before[8] &- 2)
    var expected: [UInt32: UInt8] = [:]
    for cell in vector.memory { expected[cell.address] = cell.value }
    for cell in vector.changed { expected[cell.address] = cell.value }
    for address in expected.keys.sorted() {
      guard let value = expected[address], let stored: UInt8 = memory.load(UInt64(address)) else { continue }
      var difference = value ^ stored
      if vector.exception != nil {
        // The flags that were pushed.
        if address == flagsAt { difference &= ~UInt8(truncatingIfNeeded: ignored) & 0xD5 }
        if address == flagsAt &+ 1 { difference &= ~UInt8(truncatingIfNeeded: ignored >> 8) & 0x0F }
      }
      if difference != 0 {
        reasons.append("memory")
        break
      }
    }
    if reasons.contains("ip"), let exception = vector.exception { reasons.append("exception \(exception) wanted") }
    return reasons
  }

  private static func names(of flags: UInt16) -> String {
    let all: [(UInt16, String)] = [
      (1, "CF"), (4, "PF"), (0x10, "AF"), (0x40, "ZF"), (0x80, "SF"), (0x100, "TF"), (0x200, "IF"), (0x400, "DF"), (0x800, "OF"),
    ]
    return all.filter { flags & $0.0 != 0 }.map(\.1).joined(separator: " ")
  }

  /// The flags that the manual leaves undefined after an instruction (SDM volume 1, appendix A).
  private func undefinedFlags(_ vector: ProcessorVector) -> UInt16 {
    guard let instruction = try? Decoder.decode(vector.bytes + [UInt8](repeating: 0, count: 15), mode: .protected16) else { return 0 }
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
      var count = operand.kind == .immediate ? UInt16(truncatingIfNeeded: instruction.immediate) : vector.before[2]
      if operand.kind == .none { count = 1 }
      count &= 31
      let size = UInt16(instruction.operands.0.size) * 8
      let shifts = instruction.mnemonic.name.hasPrefix("s")
      return count == 0 ? 0 : (shifts ? af : 0) | (count == 1 ? 0 : of) | (shifts && count >= size ? cf : 0)
    default: return 0
    }
  }
}
