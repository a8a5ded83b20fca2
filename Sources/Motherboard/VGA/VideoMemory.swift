import CHost
import Foundation
import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The adapter's memory, and its linear window for PCI. The one owner of the bytes: the adapter, the renderer and the window all go
/// through it, and it may keep them in the machine's own frames while the window is open (`windowOpened`), where the processor finds them
/// as it finds RAM.
///
/// The four planes of the VGA lie beside each other: byte `4n + p` is address `n` of plane `p`, so that one 32-bit word holds what the
/// latches hold, and packed pixels lie in a row.
///
/// Invariants of the unsafe parts: `bytes` is valid for `byteCount` bytes, a power of two, as long as the object lives and no window opens
/// or closes; every access is masked or checked against it; used from the vCPU's thread only.
public final class VideoMemory: FrameBackedMemory {
  public let byteCount: Int
  /// Where the bytes are now.
  public var bytes: UnsafeMutablePointer<UInt8> { place.pointee.bytes }
  /// Whether the bytes are in the machine's frames: stores of the processor's to the linear window are then not heard of.
  public var isInFrames: Bool { place.pointee.isInFrames }

  private struct Place {
    var bytes: UnsafeMutablePointer<UInt8>
    var isInFrames = false
    /// Whether the next change is to be told.
    var isArmed = false
  }
  /// One element; a pointer, so that an access costs no more than that.
  private let place: UnsafeMutablePointer<Place>
  /// The bytes' place while no window lends frames.
  private let own: UnsafeMutablePointer<UInt8>
  private var lent: (memory: MachineMemory, address: UInt64)?
  /// Called at the first change of memory or registers since `watch()`.
  var changed: () -> Void = {}

  /// All zero; it costs nothing until it is touched.
  ///
  /// - Parameter byteCount: a power of two from 256 KiB to 256 MiB; another one is rounded down to one.
  public init(byteCount: Int = 16 << 20) {
    let bounded = min(max(byteCount, 256 << 10), 256 << 20)
    self.byteCount = 1 << (Int.bitWidth - 1 - bounded.leadingZeroBitCount)
    guard let memory = calloc(self.byteCount, 1) else { ph_host_lacks("memory for the display") }
    own = memory.bindMemory(to: UInt8.self, capacity: self.byteCount)
    place = .allocate(capacity: 1)
    place.initialize(to: Place(bytes: own))
  }

  deinit {
    free(own)
    place.deallocate()
  }

  // MARK: - Frames

  /// The window opened over frames that hold nothing: the bytes move there.
  public func windowOpened(at address: UInt64, in memory: MachineMemory) {
    guard lent == nil, address & 4095 == 0, memory.contains(address, byteCount) else { return }
    let first = Int(address >> 12)
    memory.setKind(.ram, frames: first..<first + byteCount / 4096)
    guard let frames = memory.writable(address, byteCount)?.baseAddress else { return }
    forEachPage { frames.advanced(by: $0).copyMemory(from: $1, byteCount: 4096) }
    place.pointee.bytes = frames.bindMemory(to: UInt8.self, capacity: byteCount)
    place.pointee.isInFrames = true
    lent = (memory, address)
  }

  /// The window is about to close: the bytes come back, and the frames hold nothing again.
  public func windowClosed() {
    guard let lent else { return }
    memset(own, 0, byteCount)
    forEachPage { (own + $0).update(from: $1.assumingMemoryBound(to: UInt8.self), count: 4096) }
    // What was decoded there goes too.
    lent.memory.willWrite(lent.address, byteCount)
    if madvise(bytes, byteCount, Int32(MADV_DONTNEED)) != 0 { memset(bytes, 0, byteCount) }
    place.pointee.bytes = own
    place.pointee.isInFrames = false
    self.lent = nil
  }

  /// Each page that is not zero, and where it starts.
  private func forEachPage(_ body: (Int, UnsafeRawPointer) -> Void) {
    let zero = [UInt8](repeating: 0, count: 4096)
    zero.withUnsafeBytes { zero in
      guard let nothing = zero.baseAddress else { return }
      for start in stride(from: 0, to: byteCount, by: 4096) where memcmp(bytes + start, nothing, 4096) != 0 {
        body(start, UnsafeRawPointer(bytes + start))
      }
    }
  }

  /// Frames that are written by anybody but the processor may hold code.
  private func dropCode(_ offset: Int, _ count: Int) {
    if let lent, count > 0 { lent.memory.willWrite(lent.address &+ UInt64(offset), count) }
  }

  // MARK: - Changes

  /// Asks to be told of the next change.
  func watch() { place.pointee.isArmed = true }

  /// Something that may be visible changed.
  @inline(__always) func touch() {
    if place.pointee.isArmed {
      place.pointee.isArmed = false
      changed()
    }
  }

  // MARK: - Words and bytes

  @inline(__always) func word(_ address: Int) -> UInt32 {
    UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: (address &* 4) & (byteCount - 4), as: UInt32.self)
  }

  @inline(__always) func setWord(_ address: Int, _ value: UInt32) {
    let offset = (address &* 4) & (byteCount - 4)
    if isInFrames { dropCode(offset, 4) }
    UnsafeMutableRawPointer(bytes).storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
    touch()
  }

  @inline(__always) func byte(_ address: Int) -> UInt8 { bytes[address & (byteCount - 1)] }

  /// Sets bytes to 0; beyond the end nothing.
  func clear(_ start: Int, count: Int) {
    let start = min(max(start, 0), byteCount)
    let count = min(max(count, 0), byteCount - start)
    dropCode(start, count)
    memset(bytes + start, 0, count)
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
    if isInFrames { dropCode(Int(offset), size) }
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
      var pages: [Page] = []
      forEachPage { pages.append(Page(number: $0 / 4096, bytes: Data(bytes: $1, count: 4096))) }
      return pages
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
