import CHost

// Breakpoints of DR0 to DR3, single steps and the other #DB of a processor that stands for itself (SDM volume 3, 17.2 and 17.3).
//
// While DR7 arms a breakpoint, instructions run one at a time in the interpreter. Where one is for data, the TLB is kept empty, so that
// every access comes to the slow paths, which note what they touch.

enum DebugStatus {
  /// DR6.BD: an access to a debug register while DR7.GD was set.
  static let access: UInt64 = 1 << 13
  static let step: UInt64 = 1 << 14
  static let task: UInt64 = 1 << 15
  /// DR7.GD
  static let guarded: UInt64 = 1 << 13
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// Breakpoint `n`: its address, what it is for (0 instructions, 1 writes, 2 ports, 3 reads and writes) and its length; nil if it is off.
  fileprivate func breakpoint(_ n: Int) -> (address: UInt64, kind: UInt64, length: UInt64)? {
    let control = pointee.dr.7
    guard control >> UInt64(n * 2) & 3 != 0 else { return nil }
    let field = control >> UInt64(16 + n * 4)
    let address = n == 0 ? pointee.dr.0 : n == 1 ? pointee.dr.1 : n == 2 ? pointee.dr.2 : pointee.dr.3
    let length: UInt64 = field >> 2 & 3 == 2 ? 8 : (field >> 2 & 3) &+ 1
    return (address & ~(length &- 1), field & 3, length)
  }

  /// Whether DR7 watches data, so that accesses must not go past the slow paths.
  @inline(__always) var watchesData: Bool { pointee.debug_armed & UInt16(PV_DEBUG_DATA) != 0 }
}

extension VCPU {
  /// Takes note of DR7 as it is now.
  func armDebug() {
    var armed: UInt16 = 0
    for n in 0..<4 {
      guard let breakpoint = cpu.breakpoint(n) else { continue }
      switch breakpoint.kind {
      case 0: armed |= UInt16(PV_DEBUG_CODE)
      case 2: armed |= UInt16(PV_DEBUG_PORT)
      default: armed |= UInt16(PV_DEBUG_DATA)
      }
    }
    if (armed ^ cpu.pointee.debug_armed) & UInt16(PV_DEBUG_DATA) != 0 { flushTranslations() }
    cpu.pointee.debug_armed = armed
    cpu.pointee.debugging = cpu.pointee.debugging & ~UInt8(PV_DEBUGGING_ARMED) | (armed != 0 ? UInt8(PV_DEBUGGING_ARMED) : 0)
  }

  /// The DR6 bits of the breakpoints on the instruction at RIP; 0 if RF holds them off.
  func codeBreakpoints() -> UInt64 {
    guard cpu.pointee.debug_armed & UInt16(PV_DEBUG_CODE) != 0, cpu.pointee.rflags & Flag.rf == 0 else { return 0 }
    var hit: UInt64 = 0
    for n in 0..<4 {
      if let breakpoint = cpu.breakpoint(n), breakpoint.kind == 0, breakpoint.address == cpu.pointee.rip { hit |= 1 << UInt64(n) }
    }
    return hit
  }

  /// Notes the breakpoints on `count` bytes that are read or written.
  @inline(never) func noteAccess(_ linear: UInt64, _ count: Int, write: Bool) {
    for n in 0..<4 {
      guard let breakpoint = cpu.breakpoint(n), breakpoint.kind == 3 || (breakpoint.kind == 1 && write) else { continue }
      let ahead = linear &- breakpoint.address
      if ahead < breakpoint.length || 0 &- ahead < UInt64(count) { cpu.pointee.debug_hits |= 1 << UInt32(n) }
    }
  }

  /// Notes the breakpoints on ports, which CR4.DE allows.
  @inline(never) func notePort(_ port: UInt16, _ count: Int) {
    guard cpu.pointee.cr4 & 8 != 0 else { return }
    for n in 0..<4 {
      guard let breakpoint = cpu.breakpoint(n), breakpoint.kind == 2 else { continue }
      let ahead = UInt64(port) &- breakpoint.address
      if ahead < breakpoint.length || 0 &- ahead < UInt64(count) { cpu.pointee.debug_hits |= 1 << UInt32(n) }
    }
  }

  /// An instruction ran alone; `trap`: TF was set before it. Delivers the #DB trap that follows from that and from what it touched.
  func afterAlone(trap: Bool) -> Exit? {
    var status = UInt64(cpu.pointee.debug_hits)
    if trap { status |= DebugStatus.step }
    // A load of SS holds the trap off; what it hit is told after the next instruction.
    if status == 0 || cpu.pointee.interrupt_shadow == UInt8(PV_SHADOW_STACK) { return nil }
    return deliverDebug(status)
  }

  /// Delivers #DB with bits of DR6; RIP is where it returns to.
  func deliverDebug(_ status: UInt64) -> Exit? {
    cpu.pointee.debug_hits = 0
    cpu.pointee.dr.6 |= status
    cpu.pointee.dr.7 &= ~DebugStatus.guarded
    return deliver(Delivery(vector: UInt8(Vector.db.rawValue), errorCode: nil, kind: .exception, rip: cpu.pointee.rip))
  }
}
