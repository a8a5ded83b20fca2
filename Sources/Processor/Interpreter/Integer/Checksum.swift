import CHost
import X86

// CRC32: the Castagnoli polynomial, bit-reflected. No flags.

/// The checksum's change by each byte value.
nonisolated(unsafe) private let castagnoli: UnsafePointer<UInt32> = {
  let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 256)
  for byte in 0..<256 {
    var value = UInt32(byte)
    for _ in 0..<8 { value = (value >> 1) ^ (value & 1 != 0 ? 0x82F6_3B78 : 0) }
    table[byte] = value
  }
  return UnsafePointer(table)
}()

func registerChecksum(_ table: inout LoweringTable) {
  table.register("crc32") { i, op in
    op.size = i.operands.1.size
    if i.operands.1.kind == .memory {
      return op.take(
        op.size, { checksumM($0, $1, UInt8.self) }, { checksumM($0, $1, UInt16.self) }, { checksumM($0, $1, UInt32.self) },
        { checksumM($0, $1, UInt64.self) })
    }
    return op.take(
      op.size, { checksumR($0, $1, UInt8.self) }, { checksumR($0, $1, UInt16.self) }, { checksumR($0, $1, UInt32.self) },
      { checksumR($0, $1, UInt64.self) })
  }
}

@inline(__always) private func checksum<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ value: T) {
  var crc = cpu.get(op.pointee.dst, UInt32.self)
  var rest = UInt64(truncatingIfNeeded: value)
  let table = castagnoli
  for _ in 0..<T.bitWidth / 8 {
    crc = (crc >> 8) ^ table[Int((crc ^ UInt32(truncatingIfNeeded: rest)) & 0xFF)]
    rest >>= 8
  }
  cpu.set(op.pointee.dst, crc)
}

@inline(__always) private func checksumR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  checksum(cpu, op, cpu.get(op.pointee.src, T.self))
  return next(cpu, op)
}

@inline(__always) private func checksumM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  checksum(cpu, op, value)
  return next(cpu, op)
}
