import CHost

/// Byte offsets of what translated code touches in `pv_vcpu`.
enum At {
  static let blockRIP = MemoryLayout<pv_vcpu>.offset(of: \.block_rip)!
  static let budget = MemoryLayout<pv_vcpu>.offset(of: \.budget)!
  static let tlb = MemoryLayout<pv_vcpu>.offset(of: \.tlb)!
  static let rip = MemoryLayout<pv_vcpu>.offset(of: \.rip)!
  static let pageRIP = MemoryLayout<pv_vcpu>.offset(of: \.page_rip)!
  static let hostStack = MemoryLayout<pv_vcpu>.offset(of: \.host_stack)!
  static let flagsA = MemoryLayout<pv_vcpu>.offset(of: \.flags_a)!
  static let flagsB = MemoryLayout<pv_vcpu>.offset(of: \.flags_b)!
  static let flagsCarry = MemoryLayout<pv_vcpu>.offset(of: \.flags_carry)!
  static let flagsResult = MemoryLayout<pv_vcpu>.offset(of: \.flags_result)!
  static let carryByte = MemoryLayout<pv_vcpu>.offset(of: \.carry_byte)!
  static let vectorReady = MemoryLayout<pv_vcpu>.offset(of: \.vector_ready)!
  static let flagsKind = MemoryLayout<pv_vcpu>.offset(of: \.flags_kind)!
  static let linkSlot = MemoryLayout<pv_vcpu>.offset(of: \.link_slot)!
  static let flagsImage = MemoryLayout<pv_vcpu>.offset(of: \.flags_image)!
  static let scratch = MemoryLayout<pv_vcpu>.offset(of: \.native_scratch)!
  static let exit = MemoryLayout<pv_vcpu>.offset(of: \.exit)!
  static let jump = MemoryLayout<pv_tlb>.offset(of: \.jump)!
  static func guest(_ register: Int) -> Int { register * 8 }
}

/// One or more operations that the interpreter runs for translated code: copies, so that nothing else is behind them.
struct FallbackSite {
  var block: UnsafeMutablePointer<pv_block>
  var operations: Operation
  var count: Int
  /// The caller wants RFLAGS in `flags_image` afterwards.
  var wantsFlags: Bool
  /// How often it ran.
  var hits: UInt64 = 0
}

/// The routines that translated code calls, written into the code buffer once; and the way in.
struct NativeRuntime {
  /// (cpu, code): runs translated code until it leaves.
  typealias Enter = @convention(c) (CPU, UnsafeMutableRawPointer) -> Void
  let enter: Enter
  /// Offsets in the buffer. `fallback`: called with a `FallbackSite` in `a`. `exitAt`: leaves with RIP from `a`. `dispatch`: goes on at
  /// the linear address in `a`.
  let fallback: Int
  let exitAt: Int
  let dispatch: Int
  let miss: Int
  /// Called: fills `flags_image` from whatever the flags are kept in.
  let fetchFlags: Int
  /// Called: brings XMM and YMM into the host's registers and marks them so, if SSE may be used without a look. Changes `a` and flags.
  let loadVectors: Int
  /// Where translations begin.
  let end: Int

  static let kept = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]

  init(_ code: CodeBuffer) {
    func spill(_ extra: Int) {
      for register in Self.kept { code.store(register, At.guest(register) + extra) }
      code.store(Host.guestSP, At.guest(4) + extra)
      code.store(Host.budget, At.budget + extra)
    }
    func reload(_ extra: Int) {
      for register in Self.kept { code.load(register, At.guest(register) + extra) }
      code.load(Host.guestSP, At.guest(4) + extra)
      code.load(Host.budget, At.budget + extra)
    }
    func leave(_ extra: Int) {
      code.load(4, At.hostStack + extra)
      for register in [15, 14, 13, 12] {
        code.byte(0x41)
        code.byte(0x58 | register & 7)
      }
      code.byte(0x5B)
      code.byte(0x5D)
      code.byte(0xC3)
    }

    let wide = VectorNative.hostFeatures & UInt32(PH_VECTOR_AVX2) != 0
    /// vmovups ymm or movaps xmm between a register and the state: opcode 0x10 or 0x28 loads, one more stores.
    func move(_ register: Int, store: Bool, wide: Bool, at offset: Int) {
      if wide {
        code.byte(0xC5)
        code.byte(register < 8 ? 0xFC : 0x7C)
        code.byte(store ? 0x11 : 0x10)
        code.byte(0x84 | (register & 7) << 3)
        code.byte(0x24)
        code.int32(offset)
      } else {
        code.rs(store ? 0x0F29 : 0x0F28, register, offset, size: 4)
      }
    }
    func vector(_ register: Int) -> Int { Int(StateOffset.vector(register)) }
    func testLive(_ extra: Int) -> Int {
      code.rs(0xF6, 0, At.vectorReady + extra, size: 4)
      code.byte(Int(PV_VECTOR_LIVE))
      return code.jump(condition: 4)
    }
    /// Sends the vector registers home, if they are here.
    func spillVectors(_ extra: Int, mark: Bool = true) {
      let absent = testLive(extra)
      for register in 0..<16 { move(register, store: true, wide: wide, at: vector(register) + extra) }
      if wide {
        for byte in [0xC5, 0xF8, 0x77] { code.byte(byte) }  // vzeroupper
      }
      if mark {
        code.rs(0x83, 4, At.vectorReady + extra, size: 4)
        code.byte(~Int(PV_VECTOR_LIVE | PV_VECTOR_LIVE_AVX))
      }
      code.patch(absent, to: code.position)
    }
    /// Loads them. Where no upper half is in use the host's are left in their initial state: SSE beside dirty upper halves is slow.
    func loadVectors(_ extra: Int) {
      guard wide else {
        for register in 0..<16 { move(register, store: false, wide: false, at: vector(register) + extra) }
        return
      }
      move(0, store: false, wide: false, at: vector(0) + 16 + extra)
      for register in 1..<16 {
        code.byte(0x66)
        code.rs(0x0FEB, 0, vector(register) + 16 + extra, size: 4)
      }
      for byte in [0x66, 0x0F, 0x38, 0x17, 0xC0] { code.byte(byte) }  // ptest xmm0, xmm0
      let used = code.jump(condition: 5)
      for register in 0..<16 { move(register, store: false, wide: false, at: vector(register) + extra) }
      let done = code.jump()
      code.patch(used, to: code.position)
      for register in 0..<16 { move(register, store: false, wide: true, at: vector(register) + extra) }
      code.patch(done, to: code.position)
    }

    // enter: push rbp, rbx, r12…r15; the state becomes the stack.
    code.byte(0x55)
    code.byte(0x53)
    for register in [12, 13, 14, 15] {
      code.byte(0x41)
      code.byte(0x50 | register & 7)
    }
    code.rm(0x89, 4, base: 7, displacement: At.hostStack, size: 8)
    code.rr(0x89, 7, 4, size: 8)
    code.rr(0x89, 6, Host.a, size: 8)
    reload(0)
    code.byte(0x41)
    code.byte(0xFF)
    code.byte(0xE0 | Host.a & 7)

    exitAt = code.position
    code.store(Host.a, At.rip)
    spillVectors(0)
    spill(0)
    leave(0)

    miss = code.position
    code.storeImmediate32(0, At.linkSlot)
    code.jump(to: exitAt)

    // dispatch: a jump-cache look-up by (rip ^ rip >> 9) & 511.
    dispatch = code.position
    code.rr(0x8B, Host.b, Host.a, size: 8)
    code.shiftImmediate(5, Host.b, 9, size: 8)
    code.rr(0x33, Host.b, Host.a, size: 4)
    code.groupImmediate(4, Host.b, Int(PV_JUMP_SIZE) - 1, size: 4)
    code.shiftImmediate(4, Host.b, 4, size: 8)
    code.rs(0x03, Host.b, At.tlb, size: 8)
    code.rm(0x3B, Host.a, base: Host.b, displacement: At.jump, size: 8)
    let missed = code.jump(condition: 5)
    code.groupImmediate(4, Host.a, -4096, size: 8)
    code.store(Host.a, At.pageRIP)
    // jmp [b + jump + 8]
    code.rm(0xFF, 4, base: Host.b, displacement: At.jump + 8, size: 4)
    code.patch(missed, to: miss)

    // fallback: called, so the state is 8 bytes above the stack pointer.
    fallback = code.position
    spillVectors(8)
    spill(8)
    code.rm(0x8D, 7, base: 4, displacement: 8, size: 8)
    code.rr(0x89, Host.a, 6, size: 8)
    code.groupImmediate(5, 4, 8, size: 8)
    code.immediate(0, UInt64(UInt(bitPattern: unsafeBitCast(runFallback, to: UnsafeRawPointer.self))))
    code.byte(0xFF)
    code.byte(0xD0)
    code.groupImmediate(0, 4, 8, size: 8)
    code.rr(0x85, 0, 0, size: 8)
    let leaves = code.jump(condition: 5)
    reload(8)
    code.byte(0xC3)
    code.patch(leaves, to: code.position)
    leave(8)

    fetchFlags = code.position
    spillVectors(8, mark: false)
    spill(8)
    code.rm(0x8D, 7, base: 4, displacement: 8, size: 8)
    code.groupImmediate(5, 4, 8, size: 8)
    code.immediate(0, UInt64(UInt(bitPattern: unsafeBitCast(fetchFlagsImage, to: UnsafeRawPointer.self))))
    code.byte(0xFF)
    code.byte(0xD0)
    code.groupImmediate(0, 4, 8, size: 8)
    reload(8)
    let none = testLive(8)
    loadVectors(8)
    code.patch(none, to: code.position)
    code.byte(0xC3)

    self.loadVectors = code.position
    code.rs(0x8B, Host.a, At.vectorReady + 8, size: 4)
    code.groupImmediate(4, Host.a, Int(PV_VECTOR_SSE | PV_VECTOR_MASKED | PV_VECTOR_LIVE), size: 4)
    code.groupImmediate(7, Host.a, Int(PV_VECTOR_SSE | PV_VECTOR_MASKED), size: 4)
    let refused = code.jump(condition: 5)
    loadVectors(8)
    code.rs(0x83, 1, At.vectorReady + 8, size: 4)
    code.byte(Int(PV_VECTOR_LIVE))
    code.rs(0xF6, 0, At.vectorReady + 8, size: 4)
    code.byte(Int(PV_VECTOR_AVX))
    let noAVX = code.jump(condition: 4)
    code.rs(0x83, 1, At.vectorReady + 8, size: 4)
    code.byte(Int(PV_VECTOR_LIVE_AVX))
    code.patch(noAVX, to: code.position)
    code.patch(refused, to: code.position)
    code.byte(0xC3)
    end = (code.position + 63) & ~63
    enter = unsafeBitCast(code.executable, to: Enter.self)
  }
}

/// Ends a run of fallback operations: hands itself back.
let returnToTranslation: pv_handler = { _, op in op }

/// Runs a site's operations in the interpreter. 0: all done, translated code goes on. 1: the run loop goes on.
private let runFallback: @convention(c) (CPU, UnsafeMutableRawPointer) -> Int = { cpu, raw in
  let site = raw.assumingMemoryBound(to: FallbackSite.self)
  cpu.settleFlags()
  site.pointee.hits &+= 1
  let block = site.pointee.block
  let operations = site.pointee.operations
  let count = site.pointee.count
  cpu.pointee.block = block
  cpu.pointee.block_rip = cpu.pointee.page_rip | block.pointee.key & 4095
  cpu.pointee.exit = UInt32(PV_EXIT_NONE)
  cpu.pointee.link_slot = 0
  cpu.pointee.native_site_end = UInt32(operations.pointee.ordinal) + UInt32(count)
  let result = operations.pointee.handler(cpu, operations)
  cpu.pointee.native_site_end = 0
  guard let result else { return 1 }
  guard result == operations + count else {
    // A block's last operation found its successor: it was entered, so its cycles are charged. Give them back and look it up again.
    let entered = cpu.pointee.block!
    cpu.pointee.budget &+= Int64(entered.pointee.count)
    cpu.pointee.rip = cpu.pointee.block_rip
    return 1
  }
  if block.pointee.valid == 0 {
    let last = operations + (count - 1)
    cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(last.pointee.ordinal) &- 1
    cpu.pointee.rip = cpu.ripAfter(last)
    return 1
  }
  if site.pointee.wantsFlags {
    cpu.pointee.flags_image = cpu.rflags & Flag.arithmetic | 2
    cpu.pointee.carry_byte = cpu.pointee.flags_image & 1
  }
  return 0
}

private let fetchFlagsImage: @convention(c) (CPU) -> Void = { cpu in
  cpu.settleFlags()
  cpu.pointee.flags_image = cpu.rflags & Flag.arithmetic | 2
}
