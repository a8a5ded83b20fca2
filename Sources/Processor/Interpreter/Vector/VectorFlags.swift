import CHost
import X86

// Operations whose result is RFLAGS: ordered comparisons and tests. As kernels they take the state and leave `d` alone.

func registerVectorTests(_ table: inout LoweringTable) {
  func order(_ name: String, _ bytes: Int, _ kernel: @escaping Kernel) {
    table.vector(name, VectorForm(kernel: kernel, memory: bytes, float: true, scalar: true, general: true))
  }
  #if arch(x86_64)
    if hostKernelsAllowed {
      order("comiss", 4) { _, a, b, _, cpu in setOrderFlags(cpu, ph_comiss(a, b)) }
      order("comisd", 8) { _, a, b, _, cpu in setOrderFlags(cpu, ph_comisd(a, b)) }
      order("ucomiss", 4) { _, a, b, _, cpu in setOrderFlags(cpu, ph_ucomiss(a, b)) }
      order("ucomisd", 8) { _, a, b, _, cpu in setOrderFlags(cpu, ph_ucomisd(a, b)) }
    } else {
      softOrders(order)
    }
  #else
    softOrders(order)
  #endif
  let bits: Kernel = { _, a, b, _, cpu in test(cpu, a, b, V128(repeating: .max)) }
  let bits256: Kernel = { _, a, b, _, cpu in test256(cpu, a, b, .max) }
  testing(&table, "ptest", bits, bits256)
  testing(&table, "vptest", bits, bits256)
  testing(
    &table, "vtestps", { _, a, b, _, cpu in test(cpu, a, b, V128(repeating: 0x8000_0000_8000_0000)) },
    { _, a, b, _, cpu in test256(cpu, a, b, 0x8000_0000_8000_0000) })
  testing(
    &table, "vtestpd", { _, a, b, _, cpu in test(cpu, a, b, V128(repeating: 1 << 63)) },
    { _, a, b, _, cpu in test256(cpu, a, b, 1 << 63) })
}

private func softOrders(_ order: (String, Int, @escaping Kernel) -> Void) {
  order("comiss", 4) { _, a, b, _, cpu in setOrderFlags(cpu, softOrder(a, b, cpu, .single, quiet: false)) }
  order("comisd", 8) { _, a, b, _, cpu in setOrderFlags(cpu, softOrder(a, b, cpu, .double, quiet: false)) }
  order("ucomiss", 4) { _, a, b, _, cpu in setOrderFlags(cpu, softOrder(a, b, cpu, .single, quiet: true)) }
  order("ucomisd", 8) { _, a, b, _, cpu in setOrderFlags(cpu, softOrder(a, b, cpu, .double, quiet: true)) }
}

/// Sets ZF, PF and CF from an RFLAGS image with no other bit, and clears OF, SF and AF: what `setArithmeticFlags` does.
@inline(__always) private func setOrderFlags(_ cpu: CPU, _ flags: UInt64) {
  let zero = (flags >> 6) & 1
  let parity = (flags >> 2) & 1
  let carry = flags & 1
  // A result of 1 has odd parity, 0 even; bit 8 corrects it.
  cpu.pointee.lazy_result = zero ^ 1
  cpu.pointee.lazy_aux = carry << 63 | carry << 62 | (parity ^ zero) << 8
}

/// ZF: nothing in both; CF: nothing in `b` that is not in `a`; of the bits of `mask`.
@inline(__always) private func test(_ cpu: CPU, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ mask: V128) {
  let x = a.loadUnaligned(as: V128.self)
  let y = b.loadUnaligned(as: V128.self) & mask
  setTestFlags(cpu, (x & y)[0] | (x & y)[1], (~x & y)[0] | (~x & y)[1])
}

@inline(__always) private func test256(_ cpu: CPU, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ mask: UInt64) {
  let x = a.loadUnaligned(as: V256.self)
  let y = b.loadUnaligned(as: V256.self) & V256(repeating: mask)
  let both = x & y
  let rest = ~x & y
  setTestFlags(cpu, both[0] | both[1] | both[2] | both[3], rest[0] | rest[1] | rest[2] | rest[3])
}

@inline(__always) private func setTestFlags(_ cpu: CPU, _ both: UInt64, _ rest: UInt64) {
  setOrderFlags(cpu, (both == 0 ? Flag.zf : 0) | (rest == 0 ? Flag.cf : 0))
}

/// Registers a test whose memory operand is a whole register's size. Its first source is operand 0.
private func testing(_ table: inout LoweringTable, _ name: String, _ kernel: @escaping Kernel, _ wide: @escaping Kernel) {
  table.register(name) { instruction, op in
    let is256 = instruction.vectorLength == 32
    let form = VectorForm(kernel: is256 ? wide : kernel, scalar: true, general: true)
    guard lowerVector(form, instruction, &op) else { return false }
    if is256 && op.size != 0 { op.size = 32 }
    return true
  }
}
