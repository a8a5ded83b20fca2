import CHost

/// Memory for host code, mapped twice: written at one address, executed at another.
///
/// Invariants of the unsafe parts: both mappings live as long as the object; `position` never passes `size`; code is patched on the
/// thread that runs it.
final class CodeBuffer {
  let size: Int
  let writable: UnsafeMutablePointer<UInt8>
  let executable: UnsafeMutableRawPointer
  var position = 0
  /// Where the lowest chunk of rarely used code begins: such chunks are taken from the buffer's end downwards.
  private(set) var limit: Int
  /// In the current chunk: where the next rare piece goes, and its end.
  private var rarePosition: Int
  private var rareEnd: Int
  /// Where the common code goes on, while a rare piece is written.
  private var commonPosition: Int?
  static let rareChunk = 256 << 10
  /// More than one block's code takes.
  static let margin = 64 << 10
  /// The guest register that the code just before `position` stored, and the scratch register that has it.
  private var heldRegister = -1
  private var heldIn = 0
  private var heldAt = -1

  /// Nil where the host gives no executable memory.
  init?(size: Int) {
    var w: UnsafeMutableRawPointer?
    var x: UnsafeMutableRawPointer?
    guard ph_map_code(size, &w, &x) == 0, let w, let x else { return nil }
    self.size = size
    (limit, rarePosition, rareEnd) = (size, size, size)
    writable = w.bindMemory(to: UInt8.self, capacity: size)
    executable = x
  }

  deinit { ph_unmap_code(size, writable, executable) }

  // MARK: - Rarely used code

  /// What is written from here on rarely runs. It lies apart from the rest, which so takes fewer of the host's cache lines and pages.
  func beginRare() {
    if rareEnd - rarePosition < Self.margin {
      limit -= Self.rareChunk
      (rarePosition, rareEnd) = (limit, limit + Self.rareChunk)
    }
    commonPosition = position
    position = rarePosition
    forgetHeld()
  }

  func endRare() {
    guard let common = commonPosition else { return }
    rarePosition = position
    position = common
    commonPosition = nil
    forgetHeld()
  }

  /// Whether there is no room for another block.
  var isFull: Bool { position > limit - Self.rareChunk - Self.margin }
  /// Bytes in use.
  var used: Int { position + size - limit - (rareEnd - rarePosition) }

  /// Begins anew at an offset.
  func rewind(to start: Int) {
    position = start
    (limit, rarePosition, rareEnd) = (size, size, size)
  }

  @inline(__always) func byte(_ value: Int) {
    writable[position] = UInt8(truncatingIfNeeded: value)
    position += 1
  }

  func int32(_ value: Int) {
    UnsafeMutableRawPointer(writable).storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: position, as: Int32.self)
    position += 4
  }

  func int64(_ value: UInt64) {
    UnsafeMutableRawPointer(writable).storeBytes(of: value, toByteOffset: position, as: UInt64.self)
    position += 8
  }

  /// Makes the 32-bit relative displacement at `slot` lead to `target` (both offsets in the buffer).
  func patch(_ slot: Int, to target: Int) {
    // What is jumped to cannot count on what falls into it.
    if target == position { heldRegister = -1 }
    UnsafeMutableRawPointer(writable).storeBytes(of: Int32(truncatingIfNeeded: target - slot - 4), toByteOffset: slot, as: Int32.self)
  }

  /// Replaces the 64-bit immediate at an offset.
  func patch64(_ offset: Int, _ value: UInt64) {
    guard offset >= 0, offset + 8 <= size else { return }
    UnsafeMutableRawPointer(writable).storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
  }

  // MARK: - What a scratch register has

  /// Says that the code just written leaves a guest register's 64 bits in a scratch register.
  func hold(_ register: Int, in scratch: Int) { (heldRegister, heldIn, heldAt) = (register, scratch, position) }
  /// The scratch register that has a guest register here, if there is nothing between it and what left it there.
  func held(_ register: Int) -> Int? { heldRegister == register && heldAt == position ? heldIn : nil }
  /// Code from elsewhere may come to the current position.
  func forgetHeld() { heldRegister = -1 }
}
