import CHost
import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// Guest memory accesses that the TLB does not answer: a miss, a page crossing, a page with code, a page table.

@inline(__always) private func isStack(_ op: Operation) -> Bool { op.pointee.flags & UInt16(PV_OP_STACK_SEGMENT) != 0 }

/// Bytes of [linear, linear + count) in its first page.
@inline(__always) private func firstPart(_ linear: UInt64, _ count: Int) -> Int { min(count, 4096 - Int(linear & 4095)) }

/// The second page's linear address; wraps at 4 GiB outside 64-bit code.
@inline(__always) private func advance(_ cpu: CPU, _ linear: UInt64, _ count: Int) -> UInt64 {
  let a = linear &+ UInt64(count)
  return cpu.pointee.mode == 0 ? a : a & 0xFFFF_FFFF
}

/// Whether [linear, linear + count) runs over the end of the lower half: records the fault, which comes before any page's.
@inline(__always) private func crossesHole(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ count: Int) -> Bool {
  guard cpu.pointee.mode == 0, linear < 1 << 47, linear &+ UInt64(count) > 1 << 47 else { return false }
  _ = VCPU.of(cpu).translateData(1 << 47, .read, stack: isStack(op))
  return true
}

@inline(never) func readSlow(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Bool {
  if cpu.watchesData { VCPU.of(cpu).noteAccess(linear, count, write: false) }
  if crossesHole(cpu, op, linear, count) || cpu.isMisaligned(linear, count) { return false }
  return VCPU.with(cpu) { vcpu in
    let first = firstPart(linear, count)
    guard let a = vcpu.translateData(linear, .read, stack: isStack(op)) else { return false }
    if first == count {
      vcpu.copyOut(a.address, buffer, count, op)
      return true
    }
    guard let b = vcpu.translateData(advance(cpu, linear, first), .read, stack: isStack(op)) else { return false }
    vcpu.copyOut(a.address, buffer, first, op)
    vcpu.copyOut(b.address, buffer + first, count - first, op)
    return true
  }
}

@inline(never) func writeSlow(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
  if cpu.watchesData { VCPU.of(cpu).noteAccess(linear, count, write: true) }
  if crossesHole(cpu, op, linear, count) || cpu.isMisaligned(linear, count) { return false }
  return VCPU.with(cpu) { vcpu in
    let first = firstPart(linear, count)
    guard let a = vcpu.translateData(linear, .write, stack: isStack(op)) else { return false }
    if first == count {
      if a.readOnly {
        guard vcpu.storeToPageTable(a, linear, bytes, count, probe: false) else {
          vcpu.record(a, linear: linear, stack: false)
          return false
        }
        return true
      }
      vcpu.store(a.address, bytes, count, op)
      return true
    }
    guard !a.readOnly else {
      vcpu.record(a, linear: linear, stack: false)
      return false
    }
    let second = advance(cpu, linear, first)
    guard let b = vcpu.translateData(second, .write, stack: isStack(op)) else { return false }
    guard !b.readOnly else {
      vcpu.record(b, linear: second, stack: false)
      return false
    }
    vcpu.store(a.address, bytes, first, op)
    vcpu.store(b.address, bytes + first, count - first, op)
    return true
  }
}

@inline(never) func readForWriteSlow(
  _ cpu: CPU, _ op: Operation, _ linear: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int
) -> Bool {
  if cpu.watchesData { VCPU.of(cpu).noteAccess(linear, count, write: true) }
  if crossesHole(cpu, op, linear, count) || cpu.isMisaligned(linear, count) { return false }
  return VCPU.with(cpu) { vcpu in
    let first = firstPart(linear, count)
    guard let a = vcpu.translateData(linear, .write, stack: isStack(op)) else { return false }
    if a.readOnly {
      guard first == count, vcpu.storeToPageTable(a, linear, buffer, count, probe: true) else {
        vcpu.record(a, linear: linear, stack: false)
        return false
      }
    }
    if first == count {
      vcpu.copyOut(a.address, buffer, count, op)
      return true
    }
    let second = advance(cpu, linear, first)
    guard let b = vcpu.translateData(second, .write, stack: isStack(op)) else { return false }
    guard !b.readOnly else {
      vcpu.record(b, linear: second, stack: false)
      return false
    }
    vcpu.copyOut(a.address, buffer, first, op)
    vcpu.copyOut(b.address, buffer + first, count - first, op)
    return true
  }
}

extension VCPU {
  /// Reads machine memory, within one page; what is not there reads as ones.
  func copyOut(_ address: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ op: Operation) {
    guard memory.contains(address, count) else {
      memset(buffer, 0xFF, count)
      return
    }
    if memory.marks[Int(address >> 12)] & FrameMark.unreadable != 0 { return readDevice(address, buffer, count, op) }
    buffer.copyMemory(from: memory.base + Int(address), byteCount: count)
  }

  /// The guest's own store, within one page: drops code that it overlaps, the running block included.
  func store(_ address: UInt64, _ bytes: UnsafeRawPointer, _ count: Int, _ op: Operation) {
    guard memory.contains(address, count) else { return }
    let frame = Int(address >> 12)
    let mark = memory.marks[frame]
    if mark & FrameMark.kind != 0 { return writeDevice(address, bytes, count, op) }
    if memory.codeLines[frame] != 0 && memory.codeLines[frame] & BlockCache.lines(Int(address & 4095), count) != 0 {
      blocks.bytesWillChange(frame, Int(address & 4095), count, cpu: cpu, runningOperation: op)
    }
    if mark & FrameMark.table != 0 {
      storeToTable(address, bytes, count, bulk: op.pointee.flags & UInt16(PV_OP_REP | PV_OP_REPNE) != 0)
      return stopIfRemapped(op)
    }
    (memory.base + Int(address)).copyMemory(from: bytes, byteCount: count)
  }

  /// Offers a store to a read-only page to the hypervisor.
  func storeToPageTable(_ walk: Walk, _ linear: UInt64, _ bytes: UnsafeRawPointer, _ count: Int, probe: Bool) -> Bool {
    guard let hook = cpu.pointee.page_table_write, count == 1 || count == 2 || count == 4 || count == 8 else { return false }
    var value: UInt64 = 0
    if !probe { withUnsafeMutableBytes(of: &value) { $0.baseAddress!.copyMemory(from: bytes, byteCount: count) } }
    return withHostModes { hook(cpu.pointee.page_table_context, cpu, linear, walk.address, UInt32(count), value, probe ? 1 : 0) == 1 }
  }
}
