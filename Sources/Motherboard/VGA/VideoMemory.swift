import Foundation
import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The adapter's memory, and its linear window for PCI. The one owner of the bytes: the adapter, the renderer and the window all go
/// through it, so that they may as well be frames of the machine's memory (`init(frames:byteCount:)`).
///
/// The four planes of the VGA lie beside each other: byte `4n + p` is address `n` of plane `p`, so that one 32-bit word holds what the
/// latches hold, and packed pixels lie in a row.
///
/// Invariants of the unsafe parts: `bytes` is valid for `byteCount` bytes, a power of two, as long as the object lives; every access is
/// masked or checked against it; used from the vCPU's thread only.
public final class VideoMemory: MemoryHandler {
  public let byteCount: Int
  public let bytes: UnsafeMutablePointer<UInt8>
  /// Stores that do not come through this object (frames that the guest maps) are not heard of: whoever draws must look.
  public let hearsOfChanges: Bool
  private let isOwner: Bool
  /// Whether the next change is to be told.
  private let isArmed: UnsafeMutablePointer<Bool>
  /// Called at the first change of memory or registers since `watch()`.
  var changed: () -> Void = {}

  /// Memory of its own, all zero; it costs nothing until it is touched.
  ///
  /// - Parameter byteCount: a power of two from 256 KiB to 256 MiB; another one is rounded down to one.
  public init(byteCount: Int = 16 << 20) {
    self.byteCount = Self.powerOfTwo(byteCount)
    guard let memory = calloc(self.byteCount, 1) else { preconditionFailure("no memory for the display") }
    bytes = memory.bindMemory(to: UInt8.self, capacity: self.byteCount)
    isArmed = .allocate(capacity: 1)
    isArmed.initialize(to: false)
    isOwner = true
    hearsOfChanges = true
  }

  /// Memory that is somebody else's, and outlives this object.
  public init(frames: UnsafeMutableRawPointer, byteCount: Int) {
    self.byteCount = Self.powerOfTwo(byteCount)
    bytes = frames.bindMemory(to: UInt8.self, capacity: self.byteCount)
    isArmed = .allocate(capacity: 1)
    isArmed.initialize(to: false)
    isOwner = false
    hearsOfChanges = false
  }

  deinit {
    if isOwner { free(bytes) }
    isArmed.deallocate()
  }

  private static func powerOfTwo(_ count: Int) -> Int {
    let bounded = min(max(count, 256 << 10), 256 << 20)
    return 1 << (Int.bitWidth - 1 - bounded.leadingZeroBitCount)
  }

  // MARK: - Changes

  /// Asks to be told of the next change.
  func watch() { isArmed.pointee = true }

  /// Something that may be visible changed.
  @inline(__always) func touch() {
    if isArmed.pointee {
      isArmed.pointee = false
      changed()
    }
  }

  // MARK: - Words and bytes

  @inline(__always) func word(_ address: Int) -> UInt32 {
    UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: (address &* 4) & (byteCount - 4), as: UInt32.self)
  }

  @inline(__always) func setWord(_ address: Int, _ value: UInt32) {
    UnsafeMutableRawPointer(bytes).storeBytes(of: value, toByteOffset: (address &* 4) & (byteCount - 4), as: UInt32.self)
    touch()
  }

  @inline(__always) func byte(_ address: Int) -> UInt8 { bytes[address & (byteCount - 1)] }

  /// Sets bytes to 0; beyond the end nothing.
  func clear(_ start: Int, count: Int) {
    let start = min(max(start, 0), byteCount)
    memset(bytes + start, 0, min(max(count, 0), byteCount - start))
    touch()
  }

  // MARK: - The linear window

  public func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    guard offset < UInt64(byteCount), size <= byteCount - Int(offset) else { return .max }
    let start = UnsafeRawPointer(bytes + Int(offset))
    switch size {
    case 1: return UInt64(start.load(as: UInt8.self))
    case 2: return UInt64(start.loadUnaligned(as: UInt16.self))
    case 4: return UInt64(start.loadUnaligned(as: UInt32.self))
    default: return size == 8 ? start.loadUnaligned(as: UInt64.self) : .max
    }
  }

  public func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    guard offset < UInt64(byteCount), size <= byteCount - Int(offset) else { return }
    let start = UnsafeMutableRawPointer(bytes + Int(offset))
    switch size {
    case 1: start.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: start.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 4: start.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    case 8: start.storeBytes(of: value, as: UInt64.self)
    default: return
    }
    touch()
  }

  // MARK: - Saving

  /// One 4 KiB page that is not zero.
  public struct Page: Codable, Equatable {
    public var number: Int
    public var bytes: Data
  }

  /// The contents: pages that are not zero, in order. O(byteCount).
  var pages: [Page] {
    get {
      let zero = [UInt8](repeating: 0, count: 4096)
      return zero.withUnsafeBytes { zero in
        (0..<byteCount / 4096).compactMap { number in
          let page = UnsafeRawPointer(bytes + number * 4096)
          guard let nothing = zero.baseAddress, memcmp(page, nothing, 4096) != 0 else { return nil }
          return Page(number: number, bytes: Data(bytes: page, count: 4096))
        }
      }
    }
    set {
      clear(0, count: byteCount)
      for page in newValue where page.number >= 0 && page.number < byteCount / 4096 {
        let target = UnsafeMutableRawBufferPointer(start: bytes + page.number * 4096, count: 4096)
        page.bytes.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(4096))) }
      }
    }
  }
}
