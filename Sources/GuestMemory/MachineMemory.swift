import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The machine's memory: frames of 4096 bytes that belong to the machine and are owned by domains.
///
/// The backing costs nothing until it is touched, and so do the per-frame tables, whose zero value is the default.
/// Invariants of the unsafe parts: `base` and the tables live as long as the object; a frame number is checked against
/// `frameCount` before it becomes a pointer; the object is used from the vCPU's thread only.
///
/// Everything that writes guest memory other than the processor's own stores goes through `store`, `copyIn`, `zero` or
/// `writable`: they are the one write path, which drops decoded code that the write overlaps, and what a page table fed. Where a frame
/// is no RAM (`PageKind`) they do as a device that moves data sees it.
public final class MachineMemory: @unchecked Sendable {
  public static let pageSize = 4096
  public let frameCount: Int
  public let base: UnsafeMutableRawPointer
  /// Per frame: bit n says that bytes 64n ..< 64n+64 have been decoded as code. 0: none.
  public let codeLines: UnsafeMutablePointer<UInt64>
  /// Called before bytes of a frame with code are written: (first machine address, byte count). Set by the processor.
  public var codeWillChange: ((UInt64, Int) -> Void)?
  /// Per frame: what `FrameMark` says. 0: RAM.
  public let marks: UnsafeMutablePointer<UInt16>
  /// Whether any frame ever had a mark.
  public let hasMarks: UnsafeMutablePointer<Bool>
  /// Who answers at device frames; nil: they are as absent ones.
  public var bus: MemoryBus?
  /// Called before frames change their kind, and before a frame that the processor watches as a page table is written by somebody
  /// else. Set by the processor.
  public var kindsWillChange: ((Range<Int>) -> Void)?
  public var tableWillChange: ((Int) -> Void)?

  public enum Failure: Error, Equatable {
    case cannotMap(bytes: Int, errno: Int32)
  }

  /// - Parameter frameCount: frames of machine memory, all zero.
  public init(frameCount: Int) throws {
    func map(_ bytes: Int) throws -> UnsafeMutableRawPointer {
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
      guard let p = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), p != MAP_FAILED else {
        throw Failure.cannotMap(bytes: bytes, errno: errno)
      }
      return p
    }
    self.frameCount = frameCount
    // One frame more than there are, for `openBusFrame`.
    base = try map((frameCount + 1) * Self.pageSize)
    codeLines = try map((frameCount + 1) * 8).bindMemory(to: UInt64.self, capacity: frameCount + 1)
    marks = try map((frameCount + 1) * 2).bindMemory(to: UInt16.self, capacity: frameCount + 1)
    hasMarks = .allocate(capacity: 1)
    hasMarks.initialize(to: false)
  }

  deinit {
    munmap(base, (frameCount + 1) * Self.pageSize)
    munmap(codeLines, (frameCount + 1) * 8)
    munmap(marks, (frameCount + 1) * 2)
    hasMarks.deallocate()
  }

  /// Bytes of machine memory.
  @inlinable public var byteCount: UInt64 { UInt64(frameCount) &* 4096 }

  /// Whether [address, address + count) is machine memory.
  @inlinable public func contains(_ address: UInt64, _ count: Int) -> Bool {
    let (end, overflow) = address.addingReportingOverflow(UInt64(count))
    return !overflow && end <= byteCount
  }

  /// Reads a little-endian integer at a machine address; nil outside memory. Any alignment.
  @inlinable public func load<T: FixedWidthInteger>(_ address: UInt64, as: T.Type = T.self) -> T? {
    guard contains(address, MemoryLayout<T>.size) else { return nil }
    if hasMarks.pointee && !isReadable(address, MemoryLayout<T>.size) {
      var value: T = 0
      withUnsafeMutableBytes(of: &value) { copyOutSlowly(address, $0.baseAddress!, MemoryLayout<T>.size) }
      return value
    }
    return base.loadUnaligned(fromByteOffset: Int(address), as: T.self)
  }

  /// Writes a little-endian integer at a machine address; false outside memory.
  @inlinable @discardableResult public func store<T: FixedWidthInteger>(_ value: T, at address: UInt64) -> Bool {
    guard contains(address, MemoryLayout<T>.size) else { return false }
    if hasMarks.pointee && !isWritable(address, MemoryLayout<T>.size) {
      withUnsafeBytes(of: value) { copyInSlowly($0.baseAddress!, address, MemoryLayout<T>.size) }
      return true
    }
    willWrite(address, MemoryLayout<T>.size)
    base.storeBytes(of: value, toByteOffset: Int(address), as: T.self)
    return true
  }

  /// Copies machine memory out; false (and nothing copied) outside memory.
  @discardableResult public func copyOut(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard contains(address, buffer.count) else { return false }
    if hasMarks.pointee, let to = buffer.baseAddress, !isReadable(address, buffer.count) {
      copyOutSlowly(address, to, buffer.count)
      return true
    }
    if buffer.count > 0 { buffer.baseAddress!.copyMemory(from: base + Int(address), byteCount: buffer.count) }
    return true
  }

  public func copyOut(_ address: UInt64, count: Int) -> [UInt8]? {
    guard count >= 0, contains(address, count) else { return nil }
    if hasMarks.pointee && !isReadable(address, count) {
      return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
        if let to = buffer.baseAddress { copyOutSlowly(address, to, count) }
        used = count
      }
    }
    return [UInt8](UnsafeRawBufferPointer(start: base + Int(address), count: count))
  }

  /// Copies bytes into machine memory; false (and nothing copied) outside memory.
  @discardableResult public func copyIn(_ bytes: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    guard contains(address, bytes.count) else { return false }
    guard bytes.count > 0 else { return true }
    if hasMarks.pointee && !isWritable(address, bytes.count) {
      copyInSlowly(bytes.baseAddress!, address, bytes.count)
      return true
    }
    willWrite(address, bytes.count)
    (base + Int(address)).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    return true
  }

  @discardableResult public func copyIn(_ bytes: [UInt8], at address: UInt64) -> Bool {
    bytes.withUnsafeBytes { copyIn($0, at: address) }
  }

  @discardableResult public func zero(_ address: UInt64, count: Int) -> Bool {
    guard count >= 0, contains(address, count) else { return false }
    guard count > 0 else { return true }
    if hasMarks.pointee && !isWritable(address, count) {
      let zeroes = [UInt8](repeating: 0, count: count)
      zeroes.withUnsafeBytes { copyInSlowly($0.baseAddress!, address, count) }
      return true
    }
    willWrite(address, count)
    memset(base + Int(address), 0, count)
    return true
  }

  /// Host memory of [address, address + count) for writing, code dropped already; nil outside memory, or where not all
  /// of it is RAM (`copyIn` then does what can be done). Use at once.
  public func writable(_ address: UInt64, _ count: Int) -> UnsafeMutableRawBufferPointer? {
    guard count >= 0, contains(address, count) else { return nil }
    if hasMarks.pointee && !isWritable(address, count) { return nil }
    if count > 0 { willWrite(address, count) }
    return UnsafeMutableRawBufferPointer(start: base + Int(address), count: count)
  }

  /// Host memory of [address, address + count) for reading; nil outside memory, or where not all of it is
  /// RAM or ROM (`copyOut` then does what can be done). Use at once.
  public func readable(_ address: UInt64, _ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, contains(address, count) else { return nil }
    if hasMarks.pointee && !isReadable(address, count) { return nil }
    return UnsafeRawBufferPointer(start: base + Int(address), count: count)
  }

  /// Drops decoded code that a write of `count` bytes, one at least, inside memory will overlap, and what page tables there fed.
  @inlinable public func willWrite(_ address: UInt64, _ count: Int) {
    var frame = Int(address >> 12)
    let last = Int((address &+ UInt64(count) &- 1) >> 12)
    while frame <= last {
      if codeLines[frame] != 0 { codeWillChange?(address, count) }
      frame += 1
    }
    if hasMarks.pointee { tablesWillChange(address, count) }
  }
}

extension MachineMemory {
  /// Calls `body` with number and bytes of every frame that was ever touched, in order. Frames never touched are not read,
  /// and so stay free.
  public func forEachTouchedFrame(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
    let chunk = 4096
    var present = [UInt8](repeating: 0, count: chunk)
    var first = 0
    while first < frameCount {
      let count = min(chunk, frameCount - first)
      let answered = mincore(base + first * Self.pageSize, count * Self.pageSize, &present) == 0
      for index in 0..<count where !answered || present[index] & 1 != 0 {
        body(first + index, UnsafeRawBufferPointer(start: base + (first + index) * Self.pageSize, count: Self.pageSize))
      }
      first += count
    }
  }
}
