import CHost

// The arithmetic flags of translated code: in the host's register, or in memory in a form of `NativeFlags`.

extension At {
  static let carryBeside = flagsKind + 1
  static let overflowBeside = flagsKind + 2
  static let zeroBeside = flagsKind + 3
  static let rflags = MemoryLayout<pv_vcpu>.offset(of: \.rflags)!
}

extension Translator {
  // MARK: - From memory

  /// Brings the flags into the host's register; changes `a`.
  func ensureHost() {
    guard !hostValid else { return }
    hostValid = true
    if let (kind, size) = lastSaved {
      switch kind {
      case NativeFlags.subtract, NativeFlags.add:
        code.load(Host.a, At.flagsA)
        let op = kind == NativeFlags.add ? 0x03 : 0x3B
        code.rs(size == 1 ? op - 1 : op, Host.a, At.flagsB, size: size)
        return
      case NativeFlags.logic:
        code.load(Host.a, At.flagsA)
        code.rr(size == 1 ? 0x84 : 0x85, Host.a, Host.a, size: size)
        return
      default: break
      }
    }
    code.call(to: fetchHostFlags)
  }

  /// Before an instruction that keeps some flags: those that are looked at in the host's register behind it, and `reads`, must be
  /// right there. Changes `a`; `hostValid` may be taken as true afterwards.
  func ensureKept(_ step: Step, reads: UInt8 = 0) {
    if step.hostFlags & ~step.flagsSet | reads != 0 { ensureHost() }
    hostValid = true
  }

  /// Brings CF into the host's register; changes `a`.
  func ensureCarry() {
    if !hostValid && carryByteValid {
      code.load(Host.a, At.carryByte)
      code.groupImmediate(0, Host.a, -1, size: 8)
    } else {
      ensureHost()
    }
  }

  /// CF from a byte of the state that is 0 or 1; changes `b` and no other flag. (Not BT in memory: that reads more than the byte that was
  /// stored, which the host would wait for.)
  func carryFromByte(_ displacement: Int) {
    code.rs(0x0FB6, Host.b, displacement, size: 4)
    code.rr(0x0FBA, 4, Host.b, size: 4)
    code.byte(0)
  }

  /// Bytes that one kind takes in the table of `writeFlagFetch`.
  private static let stride = 64

  /// Writes the routine that `ensureHost` calls: a piece of code for each kind of saved flags that sets the host's, by way of a
  /// computed jump; what has no piece is left to `fetchFlags`. Changes `a`. Returns its offset.
  func writeFlagFetch() -> Int {
    // Behind the caller's address and `b`.
    let state = 16
    let kinds = 48
    func piece(_ kind: Int, _ size: Int) -> Bool {
      let op = size == 1 ? 0 : 1
      switch kind {
      case NativeFlags.subtract, NativeFlags.add:
        code.load(Host.a, At.flagsA + state)
        code.rs((kind == NativeFlags.add ? 0x02 : 0x3A) + op, Host.a, At.flagsB + state, size: size)
      case NativeFlags.logic:
        code.load(Host.a, At.flagsA + state)
        code.rr(0x84 + op, Host.a, Host.a, size: size)
      case NativeFlags.increment, NativeFlags.decrement:
        // Once back and once more forth: all flags but the carry, which is loaded first.
        code.load(Host.a, At.flagsA + state)
        carryFromByte(At.flagsB + state)
        let forth = kind == NativeFlags.increment ? 0 : 1
        code.rr(0xFE + op, 1 - forth, Host.a, size: size)
        code.rr(0xFE + op, forth, Host.a, size: size)
      case NativeFlags.addWithCarry, NativeFlags.subtractWithBorrow:
        // The carry that came in is what the result differs by.
        let adds = kind == NativeFlags.addWithCarry
        code.load(Host.b, (adds ? At.flagsResult : At.flagsA) + state)
        code.rs(0x2A + op, Host.b, At.flagsB + state, size: size)
        code.rs(0x2A + op, Host.b, (adds ? At.flagsA : At.flagsResult) + state, size: size)
        code.rr(0xF6 + op, 3, Host.b, size: size)
        code.load(Host.a, At.flagsA + state)
        code.rs((adds ? 0x12 : 0x1A) + op, Host.a, At.flagsB + state, size: size)
      case NativeFlags.image:
        code.rs(0xFF, 6, At.flagsA + state, size: 4)
        code.byte(0x9D)
      default: return false
      }
      return true
    }
    code.position = (code.position + 63) & ~63
    var slow: [Int] = []
    /// The pieces of all kinds; with the carry beside them taken from there.
    func pieces(carry: Bool) -> Int {
      let start = code.position
      for kind in 0..<kinds {
        code.position = start + kind * Self.stride
        if piece(kind & ~3, 1 << (kind & 3)) {
          if carry {
            carryFromByte(At.flagsCarry + state)
          }
          popB()
          code.byte(0xC3)
        } else {
          slow.append(code.jump())
        }
        precondition(code.position <= start + (kind + 1) * Self.stride)
      }
      code.position = start + kinds * Self.stride
      return start
    }
    func popB() {
      code.byte(0x41)
      code.byte(0x58 | Host.b & 7)
    }
    func dispatch(to table: Int) {
      // lea b, [rip + table]; the kind's piece
      code.byte(0x4C)
      code.byte(0x8D)
      code.byte(0x05 | (Host.b & 7) << 3)
      code.int32(table - code.position - 4)
      code.rs(0x0FB6, Host.a, At.flagsKind + state, size: 4)
      code.shiftImmediate(4, Host.a, 6, size: 4)
      code.rr(0x03, Host.a, Host.b, size: 8)
      code.byte(0x41)
      code.byte(0xFF)
      code.byte(0xE0 | Host.a & 7)
    }
    let plain = pieces(carry: false)
    let beside = pieces(carry: true)
    let entry = code.position
    // push b
    code.byte(0x41)
    code.byte(0x50 | Host.b & 7)
    // cmp dword [flags_kind], 256
    code.rs(0x81, 7, At.flagsKind + state, size: 4)
    code.int32(256)
    let above = code.jump(condition: 3)
    dispatch(to: plain)
    code.patch(above, to: code.position)
    // Only the carry beside.
    code.rs(0x81, 7, At.flagsKind + state, size: 4)
    code.int32(512)
    slow.append(code.jump(condition: 3))
    dispatch(to: beside)
    for slot in slow { code.patch(slot, to: code.position) }
    popB()
    // `fetchFlags` wants to be called from just below the state: the caller's address waits in `a`, which a C function keeps.
    code.byte(0x41)
    code.byte(0x58 | Host.a & 7)
    code.call(to: runtime.fetchFlags)
    popFlags()
    code.byte(0x41)
    code.byte(0xFF)
    code.byte(0xE0 | Host.a & 7)
    code.position = (code.position + 63) & ~63
    return entry
  }

  // MARK: - To memory
  //
  // None of these changes the host's flags.

  func saveKind(_ kind: Int, size: Int) {
    lastSaved = (kind, size)
    code.storeImmediate32(kind + (size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3), At.flagsKind)
  }

  /// CF and OF, as `NativeFlags.shift` keeps them.
  func saveCarries() {
    code.rs(0x0F92, 0, At.flagsB, size: 1)
    code.rs(0x0F90, 0, At.flagsB + 1, size: 1)
  }

  /// The host's six flags as they are.
  func saveImage() {
    code.byte(0x9C)
    code.rs(0x8F, 0, At.flagsA, size: 4)
    saveKind(NativeFlags.image, size: 1)
  }

  /// Some of CF, OF and ZF beside what memory says of the others.
  func saveBeside(_ flags: UInt8) {
    func save(_ condition: Int, _ place: Int, _ mark: Int) {
      code.rs(0x0F90 | condition, 0, At.flagsCarry + place, size: 1)
      code.rs(0xC6, 0, mark, size: 4)
      code.byte(1)
    }
    if flags & FlagSet.carry != 0 { save(2, 0, At.carryBeside) }
    if flags & FlagSet.overflow != 0 { save(0, 1, At.overflowBeside) }
    if flags & FlagSet.zero != 0 { save(4, 2, At.zeroBeside) }
    lastSaved = nil
  }
}
