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
  static let x87Known = MemoryLayout<pv_vcpu>.offset(of: \.x87_known)!
  static let flagsKind = MemoryLayout<pv_vcpu>.offset(of: \.flags_kind)!
  static let linkSlot = MemoryLayout<pv_vcpu>.offset(of: \.link_slot)!
  static let flagsImage = MemoryLayout<pv_vcpu>.offset(of: \.flags_image)!
  static let scratch = MemoryLayout<pv_vcpu>.offset(of: \.native_scratch)!
  static let exit = MemoryLayout<pv_vcpu>.offset(of: \.exit)!
  static let jump = Int(PV_TLB_JUMP)
  static let nativeSet = MemoryLayout<pv_vcpu>.offset(of: \.native_set)!
  static let slotBit = MemoryLayout<pv_vcpu>.offset(of: \.native_slot_bit)!
  static let pageBits = MemoryLayout<pv_vcpu>.offset(of: \.page_bits)!
  static let deadline = MemoryLayout<pv_vcpu>.offset(of: \.deadline)!
  static let tscOffset = MemoryLayout<pv_vcpu>.offset(of: \.tsc_offset)!
  static let tscAux = MemoryLayout<pv_vcpu>.offset(of: \.tsc_aux)!
  static let cr4 = MemoryLayout<pv_vcpu>.offset(of: \.cr4)!
  static let efer = MemoryLayout<pv_vcpu>.offset(of: \.efer)!
  static func guest(_ register: Int) -> Int { register * 8 }
}

/// How translated code reaches the current TLB set: by the host's GS base, or, where user code may not load that, by adding the set's
/// address to the offset.
enum SetAccess {
  static let hasGS = ph_code_features() & UInt32(PH_CODE_FSGSBASE) != 0
  static let hasPEXT = ph_code_features() & UInt32(PH_CODE_PEXT) != 0
  /// `pv_vcpu.page_bits`
  static let pageBits = pv_tlb_slot_bits
}

extension CodeBuffer {
  /// op reg, [set + b + displacement], after `addSet`.
  func onSet(_ op: Int, _ reg: Int, _ displacement: Int, size: Int) {
    if SetAccess.hasGS { byte(0x65) }
    rm(op, reg, base: Host.b, displacement: displacement, size: size)
  }

  /// Makes `b` an offset that `onSet` takes. May change flags.
  func addSet() {
    if !SetAccess.hasGS { rs(0x03, Host.b, At.tlb, size: 8) }
  }

  /// op reg, [set + b * 8 + displacement]; `b` has been through `addSet`, and is then no index but an address.
  func onSlot(_ op: Int, _ reg: Int, _ displacement: Int) {
    if SetAccess.hasGS {
      byte(0x65)
      rmNoBase(op, reg, index: Host.b, scale: 3, displacement: displacement, size: 8)
    } else {
      rm(op, reg, base: Host.b, displacement: displacement, size: 8)
    }
  }

  /// The data slot of the linear address in `a`, for `onSlot`, into `b`.
  func dataSlot() {
    if SetAccess.hasPEXT {
      // pext b, a, [page_bits]
      for value in [0xC4, 0x62, 0x8A, 0xF5, 0xBC, 0x24] { byte(value) }
      int32(At.pageBits)
      if !SetAccess.hasGS { shiftImmediate(4, Host.b, 3, size: 8) }
    } else {
      rr(0x8B, Host.b, Host.a, size: 8)
      shiftImmediate(5, Host.b, 26, size: 8)
      groupImmediate(4, Host.b, 0x4000, size: 4)
      store(Host.b, At.slotBit)
      rr(0x8B, Host.b, Host.a, size: 8)
      shiftImmediate(5, Host.b, 12, size: 8)
      groupImmediate(4, Host.b, 0x3FFF, size: 4)
      rs(0x0B, Host.b, At.slotBit, size: 8)
      if !SetAccess.hasGS { shiftImmediate(4, Host.b, 3, size: 8) }
    }
    addSet()
  }

  /// Looks the linear address in `a` up among the translated jump targets: then the code is at `onSet(…, At.jump + 8)`. `narrow`: marks it
  /// as 32-bit code's.
  func lookUpJump(narrow: Bool) -> JumpLookUp {
    if narrow {
      // bts a, 62
      rr(0x0FBA, 5, Host.a, size: 8)
      byte(TranslationSets.narrowJump.trailingZeroBitCount)
    }
    compareJump(TranslationSets.JumpHash.first)
    let miss = jump(condition: 5)
    return JumpLookUp(miss: miss, found: position)
  }

  /// Behind the miss of `lookUpJump`: looks in the address's second slot, and goes on as if that had been the first. What is emitted next is
  /// where neither has the address.
  func lookUpSecond(_ first: JumpLookUp) {
    patch(first.miss, to: position)
    compareJump(TranslationSets.JumpHash.second)
    patch(jump(condition: 4), to: first.found)
  }

  /// Compares the linear address in `a` with that of its slot, which `b` then is.
  private func compareJump(_ hash: TranslationSets.JumpHash) {
    rr(0x8B, Host.b, Host.a, size: 8)
    shiftImmediate(5, Host.b, hash.rawValue, size: 8)
    rr(0x33, Host.b, Host.a, size: 4)
    groupImmediate(4, Host.b, Int(PV_JUMP_SIZE) - 1, size: 4)
    shiftImmediate(4, Host.b, 4, size: 8)
    addSet()
    onSet(0x3B, Host.a, At.jump, size: 8)
  }
}

/// A look-up of a jump's target: where the jump of a miss in the first slot is, and the code for a hit.
struct JumpLookUp {
  var miss: Int
  var found: Int
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
  /// Offsets in the buffer. `fallback`: called with a `FallbackSite` in `a`. `exitAt`: leaves with RIP from `a`. `miss`: the same, and
  /// no jump is to be linked. `narrowMiss`: the same with 32 bits of `a`.
  let fallback: Int
  let exitAt: Int
  let miss: Int
  let narrowMiss: Int
  /// Jumped to at a SYSCALL, the next instruction's address in `a`: has the exit served and goes on where that leads.
  let systemCall: Int
  /// Called: fills `flags_image` from whatever the flags are kept in.
  let fetchFlags: Int
  /// Called: brings XMM and YMM into the host's registers and marks them so, if SSE may be used without a look. Changes `a` and flags.
  let loadVectors: Int
  /// Called: brings the x87 state into the host's unit, if x87 instructions may run as themselves. Changes `a` and flags, and sends the vector
  /// registers home.
  let loadX87: Int
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

    /// Points the host's GS base at the current set.
    func useSet(_ extra: Int, always: Bool) {
      guard SetAccess.hasGS else { return }
      code.load(Host.a, At.tlb + extra)
      var same: Int?
      if !always {
        code.rs(0x3B, Host.a, At.nativeSet + extra, size: 8)
        same = code.jump(condition: 4)
      }
      for byte in [0xF3, 0x49, 0x0F, 0xAE, 0xDE] { code.byte(byte) }  // wrgsbase r14
      code.store(Host.a, At.nativeSet + extra)
      if let same { code.patch(same, to: code.position) }
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
    useSet(0, always: true)
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

    narrowMiss = code.position
    code.rr(0x8B, Host.a, Host.a, size: 4)
    miss = code.position
    code.storeImmediate32(0, At.linkSlot)
    code.jump(to: exitAt)

    systemCall = code.position
    code.store(Host.a, At.rip)
    spillVectors(0)
    spill(0)
    code.rr(0x89, 4, 7, size: 8)
    code.immediate(0, UInt64(UInt(bitPattern: unsafeBitCast(serveSystemCall, to: UnsafeRawPointer.self))))
    code.byte(0xFF)
    code.byte(0xD0)
    code.rr(0x85, 0, 0, size: 8)
    let unserved = code.jump(condition: 4)
    code.rr(0x89, 0, Host.b, size: 8)
    useSet(0, always: false)
    reload(0)
    code.byte(0x41)
    code.byte(0xFF)
    code.byte(0xE0 | Host.b & 7)
    code.patch(unserved, to: code.position)
    leave(0)

    // fallback: called, so the state is 8 bytes above the stack pointer.
    fallback = code.position
    spillVectors(8)
    spill(8)
    code.rm(0x8D, 7, base: 4, displacement: 8, size: 8)
    code.rr(0x89, Host.a, 6, size: 8)
    code.rm(0x8B, 2, base: 4, size: 8)
    code.groupImmediate(5, 4, 8, size: 8)
    code.immediate(0, UInt64(UInt(bitPattern: unsafeBitCast(runFallback, to: UnsafeRawPointer.self))))
    code.byte(0xFF)
    code.byte(0xD0)
    code.groupImmediate(0, 4, 8, size: 8)
    code.rr(0x85, 0, 0, size: 8)
    let elsewhere = code.jump(condition: 5)
    useSet(8, always: false)
    reload(8)
    code.byte(0xC3)
    code.patch(elsewhere, to: code.position)
    code.groupImmediate(7, 0, 1, size: 8)
    let leaves = code.jump(condition: 4)
    code.rr(0x89, 0, Host.b, size: 8)
    useSet(8, always: false)
    reload(8)
    code.groupImmediate(0, 4, 8, size: 8)
    code.byte(0x41)
    code.byte(0xFF)
    code.byte(0xE0 | Host.b & 7)
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

    loadX87 = code.position
    spillVectors(8)
    spill(8)
    code.rm(0x8D, 7, base: 4, displacement: 8, size: 8)
    code.groupImmediate(5, 4, 8, size: 8)
    code.immediate(0, UInt64(UInt(bitPattern: unsafeBitCast(enterX87, to: UnsafeRawPointer.self))))
    code.byte(0xFF)
    code.byte(0xD0)
    code.groupImmediate(0, 4, 8, size: 8)
    reload(8)
    code.byte(0xC3)
    end = (code.position + 63) & ~63
    enter = unsafeBitCast(code.executable, to: Enter.self)
  }
}

/// Ends a run of fallback operations: hands itself back.
let returnToTranslation: pv_handler = { _, op in op }

/// A site that is made when it is first needed: most accesses never miss. Translated code has it in the place of the site's address.
struct LazySite {
  /// Bit 63 set, bit 62 wants flags, bits 61:48 the operation's number, below the block's address.
  var bits: UInt64

  init(block: UnsafeMutablePointer<pv_block>, index: Int, wantsFlags: Bool) {
    bits = 1 << 63 | (wantsFlags ? 1 << 62 : 0) | UInt64(index & 0x3FFF) << 48 | UInt64(UInt(bitPattern: block)) & 0xFFFF_FFFF_FFFF
  }
  init(bits: UInt64) { self.bits = bits }
  var block: UnsafeMutablePointer<pv_block>? { UnsafeMutablePointer(bitPattern: UInt(truncatingIfNeeded: bits & 0xFFFF_FFFF_FFFF)) }
  var index: Int { Int(truncatingIfNeeded: bits >> 48 & 0x3FFF) }
  var wantsFlags: Bool { bits >> 62 & 1 != 0 }
}

/// Runs a site's operations in the interpreter. 0: all done, translated code goes on. 1: the run loop goes on. Else the code to go on with:
/// they left, for where the next instruction is translated. `from` is where the call came from.
private let runFallback: @convention(c) (CPU, UInt64, UnsafeRawPointer) -> Int = { cpu, bits, from in
  cpu.settleFlags()
  var raw = UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: bits))
  if bits >> 63 != 0 {
    let lazy = LazySite(bits: bits)
    let owner = cpu.pointee.owner.map { Unmanaged<VCPU>.fromOpaque($0).takeUnretainedValue() }
    raw = owner?.translator?.makeSite(lazy, from: from)
    if raw == nil, let block = lazy.block {
      // No room: leave before the instruction; everything is forgotten before anything runs again.
      cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(lazy.index)
      cpu.pointee.rip = (cpu.pointee.page_rip | block.pointee.key & 4095) &+ UInt64(block.pointee.ops[lazy.index].offset)
      cpu.pointee.exit = UInt32(PV_EXIT_NONE)
      cpu.pointee.link_slot = 0
      return 1
    }
  }
  guard let raw else { return 1 }
  let site = raw.assumingMemoryBound(to: FallbackSite.self)
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
  guard let result else { return VCPU.with(cpu) { $0.goOnElsewhere() }.map { Int(bitPattern: $0) } ?? 1 }
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

private let enterX87: @convention(c) (CPU) -> Void = { cpu in pv_x87_enter(cpu) }

/// Serves a SYSCALL. The translated code to go on with, or nil: then the run loop goes on by `exit`.
private let serveSystemCall: @convention(c) (CPU) -> UnsafeMutableRawPointer? = { cpu in
  cpu.settleFlags()
  return VCPU.with(cpu) { $0.serveSystemCall() }
}

private let fetchFlagsImage: @convention(c) (CPU) -> Void = { cpu in
  cpu.settleFlags()
  cpu.pointee.flags_image = cpu.rflags & Flag.arithmetic | 2
}
