import CHost
import GuestMemory
import Processor

extension Domain {
  /// What is known of a crashed guest: cause, registers, the bytes at RIP, the stack's top, the last exits.
  public func crashReport(_ v: PVCPU) -> String {
    let cpu = v.cpu
    var lines: [String] = []
    switch ended {
    case .crashed(let why): lines.append("The guest crashed: \(why)")
    case .shutdown(let reason): lines.append("The guest shut down, reason \(reason)")
    case nil: lines.append("The guest is running")
    }
    let mode = v.kernelMode ? "guest kernel" : "guest user"
    lines.append("vCPU \(v.id) in \(mode) mode, upcall mask \(v.upcallMask), cycle \(services.now)")
    let names = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"]
    let values = withUnsafeBytes(of: cpu.pointee.gpr) { Array($0.bindMemory(to: UInt64.self)) }
    lines.append("RIP \(wide(cpu.pointee.rip))  RFLAGS \(wide(cpu.rflags))  CR2 \(wide(v.cr2))  CR3 \(wide(cpu.pointee.cr3))")
    for row in 0..<4 {
      lines.append((0..<4).map { "\(names[row * 4 + $0]) \(wide(values[row * 4 + $0]))" }.joined(separator: "  "))
    }
    let s = cpu.pointee.seg
    let selectors = [("CS", s.1), ("SS", s.2), ("DS", s.3), ("ES", s.0), ("FS", s.4), ("GS", s.5)]
    lines.append(selectors.map { "\($0.0) \(String($0.1.selector, radix: 16))" }.joined(separator: "  "))
    lines.append("FS base \(wide(s.4.base))  GS base \(wide(s.5.base))  other GS base \(wide(v.inactiveGSBase))")
    lines.append("code: " + bytes(v, at: cpu.pointee.rip, count: 16))
    lines.append("stack: " + words(v, at: cpu.pointee.gpr.4, count: 8))
    lines.append("last exits, oldest first:")
    lines += v.history.lines.map { "  " + $0 }
    return lines.joined(separator: "\n")
  }

  private func wide(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private func bytes(_ v: PVCPU, at address: UInt64, count: Int) -> String {
    var parts: [String] = []
    for offset in 0..<UInt64(count) {
      guard let byte = v.vcpu.readGuest(address &+ offset, as: UInt8.self) else { break }
      parts.append((byte < 16 ? "0" : "") + String(byte, radix: 16))
    }
    return parts.isEmpty ? "unreadable" : parts.joined(separator: " ")
  }

  private func words(_ v: PVCPU, at address: UInt64, count: Int) -> String {
    var parts: [String] = []
    for index in 0..<UInt64(count) {
      guard let word = v.vcpu.readGuest(address &+ index &* 8, as: UInt64.self) else { break }
      parts.append(wide(word))
    }
    return parts.isEmpty ? "unreadable" : parts.joined(separator: " ")
  }
}
