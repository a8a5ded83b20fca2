import CHost

/// Arithmetic flags, kept lazily.
///
/// An arithmetic instruction stores its result, sign-extended to 64 bits, in `lazy_result`, and a word of carries in
/// `lazy_aux`; CF, PF, AF, ZF, SF and OF are computed from the two when they are looked at. Every combination of flags can
/// be expressed, so POPF, SAHF and instructions that change some flags and keep others need no second form.
///
/// `lazy_aux`: bit 63 is CF. Bit 62 is CF ^ OF. Bit 3 is AF. Bits 15:8 are exclusive-ored with the result's low byte
/// before its parity is taken. Bit 0 inverts SF.
public typealias CPU = UnsafeMutablePointer<pv_vcpu>
public typealias Operation = UnsafeMutablePointer<pv_op>

public enum Flag {
  public static let cf: UInt64 = 1
  public static let pf: UInt64 = 4
  public static let af: UInt64 = 0x10
  public static let zf: UInt64 = 0x40
  public static let sf: UInt64 = 0x80
  public static let tf: UInt64 = 0x100
  public static let `if`: UInt64 = 0x200
  public static let df: UInt64 = 0x400
  public static let of: UInt64 = 0x800
  public static let iopl: UInt64 = 0x3000
  public static let nt: UInt64 = 0x4000
  public static let rf: UInt64 = 0x10000
  public static let vm: UInt64 = 0x20000
  public static let ac: UInt64 = 0x40000
  public static let vif: UInt64 = 0x80000
  public static let vip: UInt64 = 0x100000
  public static let id: UInt64 = 0x200000
  public static let arithmetic: UInt64 = 0x8D5
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  @inline(__always) var cf: Bool { pointee.lazy_aux >> 63 != 0 }
  @inline(__always) var zf: Bool { pointee.lazy_result == 0 }
  @inline(__always) var sf: Bool { ((pointee.lazy_result >> 63) ^ pointee.lazy_aux) & 1 != 0 }
  @inline(__always) var of: Bool { ((pointee.lazy_aux >> 63) ^ (pointee.lazy_aux >> 62)) & 1 != 0 }
  @inline(__always) var af: Bool { pointee.lazy_aux & 8 != 0 }
  @inline(__always) var pf: Bool {
    let low = UInt8(truncatingIfNeeded: pointee.lazy_result ^ (pointee.lazy_aux >> 8))
    return low.nonzeroBitCount & 1 == 0
  }

  /// RFLAGS as PUSHF would read it.
  public var rflags: UInt64 {
    get {
      var f = pointee.rflags & ~Flag.arithmetic | 2
      if cf { f |= Flag.cf }
      if pf { f |= Flag.pf }
      if af { f |= Flag.af }
      if zf { f |= Flag.zf }
      if sf { f |= Flag.sf }
      if of { f |= Flag.of }
      return f
    }
    nonmutating set {
      pointee.rflags = newValue & ~Flag.arithmetic | 2
      setArithmeticFlags(newValue)
    }
  }

  /// Sets the six arithmetic flags from an RFLAGS image.
  func setArithmeticFlags(_ f: UInt64) {
    let zero = f & Flag.zf != 0
    // With ZF set the result is 0: SF and PF come from the correction bits. Without, the result is 1 or -1-ish odd value.
    let result: UInt64 = zero ? 0 : 1
    var aux: UInt64 = 0
    let cf = f & Flag.cf
    let of = (f & Flag.of) >> 11
    aux |= cf << 63
    aux |= (cf ^ of) << 62
    aux |= (f & Flag.af) >> 1
    if f & Flag.sf != 0 { aux |= 1 }
    // result 0 has even parity, result 1 odd.
    let even = f & Flag.pf != 0
    if even == !zero { aux |= 1 << 8 }
    pointee.lazy_result = result
    pointee.lazy_aux = aux
  }

  /// After an addition of `T`s (`result` = a + b + carry in, truncated).
  @inline(__always) func setAddFlags<T: FixedWidthInteger & UnsignedInteger>(_ a: T, _ b: T, _ result: T) {
    let carries = (a & b) | ((a | b) & ~result)
    pointee.lazy_result = signExtended(result)
    pointee.lazy_aux = carryWord(carries)
  }

  /// After a subtraction of `T`s (`result` = a - b - borrow in, truncated).
  @inline(__always) func setSubFlags<T: FixedWidthInteger & UnsignedInteger>(_ a: T, _ b: T, _ result: T) {
    let borrows = (~a & b) | ((~a | b) & result)
    pointee.lazy_result = signExtended(result)
    pointee.lazy_aux = carryWord(borrows)
  }

  /// After a logic operation: CF = OF = AF = 0.
  @inline(__always) func setLogicFlags<T: FixedWidthInteger & UnsignedInteger>(_ result: T) {
    pointee.lazy_result = signExtended(result)
    pointee.lazy_aux = 0
  }

  /// Replaces CF and keeps the other five.
  @inline(__always) func setCF(_ on: Bool) {
    let overflow = (pointee.lazy_aux ^ (pointee.lazy_aux << 1)) & (1 << 63)
    let carry: UInt64 = on ? 1 << 63 : 0
    pointee.lazy_aux = pointee.lazy_aux & ~(3 << 62) | carry | ((carry ^ overflow) >> 1)
  }

  /// Replaces CF and OF and keeps the other four.
  @inline(__always) func setCFOF(_ carry: Bool, _ overflow: Bool) {
    let c: UInt64 = carry ? 1 : 0
    let o: UInt64 = overflow ? 1 : 0
    pointee.lazy_aux = pointee.lazy_aux & ~(3 << 62) | c << 63 | (c ^ o) << 62
  }
}

@inline(__always) func signExtended<T: FixedWidthInteger & UnsignedInteger>(_ value: T) -> UInt64 {
  let shift = UInt64(64 &- T.bitWidth)
  return UInt64(bitPattern: Int64(bitPattern: UInt64(truncatingIfNeeded: value) &<< shift) &>> Int64(shift))
}

/// A word of carries out of every bit of a `T`, as `lazy_aux` wants it.
@inline(__always) func carryWord<T: FixedWidthInteger & UnsignedInteger>(_ carries: T) -> UInt64 {
  let wide = UInt64(truncatingIfNeeded: carries)
  return (wide &<< UInt64(64 &- T.bitWidth)) & (3 << 62) | wide & 8
}
