import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// MOVS, STOS, LODS. In bulk, elements are moved through host addresses within one page of source and destination; what the TLB
// does not have in one page (a miss, a crossing, a page with code or page tables) goes element by element.

@inline(__always) func stringMove<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  StringCursor.narrowPointers(cpu, op, source: true)
  return stringLoop(
    cpu, op, T.self,
    bulk: { cursor, step, limit in
      let down = step < 0
      let from = cursor.from(cpu)
      let to = cursor.to(cpu)
      guard let p = readable(cpu, from, T.self), let q = writable(cpu, to, T.self) else { return 0 }
      let size = UInt64(MemoryLayout<T>.size)
      let n = min(limit, cursor.run(from, cpu.rsi, size, down: down), cursor.run(to, cpu.rdi, size, down: down))
      if n == 0 { return 0 }
      copyElements(p, q, Int(n), T.self, down: down)
      cursor.moveSource(cpu, Int64(n) &* step)
      cursor.moveDestination(cpu, Int64(n) &* step)
      return n
    },
    element: { cursor, step in
      guard let value = read(cpu, op, cursor.from(cpu), T.self), write(cpu, op, cursor.to(cpu), value) else { return false }
      cursor.moveSource(cpu, step)
      cursor.moveDestination(cpu, step)
      return true
    }, done: { false })
}

/// Copies `n` elements one after the other, upwards or downwards from the first: where they overlap so that a later one reads
/// what an earlier one wrote, that shows, as the architecture has it. By host address, so aliases of a frame count too.
@inline(__always) private func copyElements<T: MachineWord>(
  _ p: UnsafeMutableRawPointer, _ q: UnsafeMutableRawPointer, _ n: Int, _: T.Type, down: Bool
) {
  let size = MemoryLayout<T>.size
  let bytes = n &* size
  // How far the destination is ahead of the source, in the direction of travel.
  let ahead = down ? UInt(bitPattern: p) &- UInt(bitPattern: q) : UInt(bitPattern: q) &- UInt(bitPattern: p)
  if ahead == 0 || ahead >= UInt(bitPattern: bytes) {
    let back = down ? bytes &- size : 0
    memmove(q - back, p - back, bytes)
    return
  }
  let step = down ? 0 &- size : size
  var offset = 0
  for _ in 0..<n {
    (q + offset).storeBytes(of: (p + offset).loadUnaligned(as: T.self), as: T.self)
    offset &+= step
  }
}

@inline(__always) func stringStore<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let value = cpu.get(StateOffset.general(0), T.self)
  StringCursor.narrowPointers(cpu, op, source: false)
  return stringLoop(
    cpu, op, T.self,
    bulk: { cursor, step, limit in
      let down = step < 0
      let to = cursor.to(cpu)
      guard let q = writable(cpu, to, T.self) else { return 0 }
      let size = MemoryLayout<T>.size
      let n = min(limit, cursor.run(to, cpu.rdi, UInt64(size), down: down))
      if n == 0 { return 0 }
      let count = Int(n)
      fillElements(down ? q - (count &- 1) &* size : q, count, value)
      cursor.moveDestination(cpu, Int64(n) &* step)
      return n
    },
    element: { cursor, step in
      guard write(cpu, op, cursor.to(cpu), value) else { return false }
      cursor.moveDestination(cpu, step)
      return true
    }, done: { false })
}

@inline(__always) private func fillElements<T: MachineWord>(_ q: UnsafeMutableRawPointer, _ n: Int, _ value: T) {
  let byte = UInt8(truncatingIfNeeded: value)
  let size = MemoryLayout<T>.size
  if T.bitWidth == 8 || signExtended(value) == 0 || signExtended(value) == ~0 {
    memset(q, Int32(byte), n &* size)
    return
  }
  for index in 0..<n { (q + index &* size).storeBytes(of: value, as: T.self) }
}

@inline(__always) func stringLoad<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  stringLoop(
    cpu, op, T.self,
    bulk: { cursor, step, limit in
      let from = cursor.from(cpu)
      guard let p = readable(cpu, from, T.self) else { return 0 }
      let size = MemoryLayout<T>.size
      let n = min(limit, cursor.run(from, cpu.rsi, UInt64(size), down: step < 0))
      if n == 0 { return 0 }
      // Only the last one stays.
      let last = Int(n &- 1) &* Int(step)
      cpu.set(StateOffset.general(0), (p + last).loadUnaligned(as: T.self))
      cursor.moveSource(cpu, Int64(n) &* step)
      return n
    },
    element: { cursor, step in
      guard let value = read(cpu, op, cursor.from(cpu), T.self) else { return false }
      cpu.set(StateOffset.general(0), value)
      cursor.moveSource(cpu, step)
      return true
    }, done: { false })
}
