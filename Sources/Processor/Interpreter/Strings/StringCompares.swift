import CHost

// CMPS and SCAS, which compare as CMP does: first operand the source (RSI) or the accumulator, second the destination (RDI). If
// an iteration faults, the flags are those from before the instruction (SDM volume 2, REP).

private struct SavedFlags {
  let result: UInt64
  let aux: UInt64
  @inline(__always) init(_ cpu: CPU) {
    result = cpu.pointee.lazy_result
    aux = cpu.pointee.lazy_aux
  }
  @inline(__always) func restore(_ cpu: CPU) {
    cpu.pointee.lazy_result = result
    cpu.pointee.lazy_aux = aux
  }
}

/// Whether a repetition ends here: REPE (and REP) while equal, REPNE while not.
@inline(__always) private func ends(_ cpu: CPU, _ op: Operation) -> Bool {
  cpu.zf == (op.pointee.flags & UInt16(PV_OP_REPNE) != 0)
}

@inline(__always) func stringCompare<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let saved = SavedFlags(cpu)
  return stringLoop(
    cpu, op, T.self,
    bulk: { cursor, step, limit in
      let down = step < 0
      let from = cursor.from(cpu)
      let to = cursor.to(cpu)
      guard let p = readable(cpu, from, T.self), let q = readable(cpu, to, T.self) else { return 0 }
      let size = UInt64(MemoryLayout<T>.size)
      let n = Int(min(limit, cursor.run(from, cpu.rsi, size, down: down), cursor.run(to, cpu.rdi, size, down: down)))
      if n == 0 { return 0 }
      let untilEqual = op.pointee.flags & UInt16(PV_OP_REPNE) != 0
      var ran = 0
      var offset = 0
      var a: T = 0
      var b: T = 0
      repeat {
        a = (p + offset).loadUnaligned(as: T.self)
        b = (q + offset).loadUnaligned(as: T.self)
        ran &+= 1
        offset &+= Int(step)
      } while ran < n && (a == b) != untilEqual
      cpu.setSubFlags(a, b, a &- b)
      cursor.moveSource(cpu, Int64(ran) &* step)
      cursor.moveDestination(cpu, Int64(ran) &* step)
      return UInt64(ran)
    },
    element: { cursor, step in
      // The destination is read first: its fault is the one raised.
      guard let b = read(cpu, op, cursor.to(cpu), T.self), let a = read(cpu, op, cursor.from(cpu), T.self) else {
        saved.restore(cpu)
        return false
      }
      cpu.setSubFlags(a, b, a &- b)
      cursor.moveSource(cpu, step)
      cursor.moveDestination(cpu, step)
      return true
    }, done: { ends(cpu, op) })
}

@inline(__always) func stringScan<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let saved = SavedFlags(cpu)
  let a = cpu.get(StateOffset.general(0), T.self)
  return stringLoop(
    cpu, op, T.self,
    bulk: { cursor, step, limit in
      let to = cursor.to(cpu)
      guard let q = readable(cpu, to, T.self) else { return 0 }
      let n = Int(min(limit, cursor.run(to, cpu.rdi, UInt64(MemoryLayout<T>.size), down: step < 0)))
      if n == 0 { return 0 }
      let untilEqual = op.pointee.flags & UInt16(PV_OP_REPNE) != 0
      var ran = 0
      var offset = 0
      var b: T = 0
      repeat {
        b = (q + offset).loadUnaligned(as: T.self)
        ran &+= 1
        offset &+= Int(step)
      } while ran < n && (a == b) != untilEqual
      cpu.setSubFlags(a, b, a &- b)
      cursor.moveDestination(cpu, Int64(ran) &* step)
      return UInt64(ran)
    },
    element: { cursor, step in
      guard let b = read(cpu, op, cursor.to(cpu), T.self) else {
        saved.restore(cpu)
        return false
      }
      cpu.setSubFlags(a, b, a &- b)
      cursor.moveDestination(cpu, step)
      return true
    }, done: { ends(cpu, op) })
}
